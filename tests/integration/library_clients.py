"""SSH libraries, each moving data through a front door: run as a process by the tests.

usage: python library_clients.py LIBRARY PORT key|token SECRET BYTES

Sends BYTES to echo:7, expects them back, then closes; says "whole" if nothing differs.
"""

import asyncio
import hashlib
import os
import socket
import sys
import threading


def exchange(send, receive, size: int) -> None:
    """Send from a thread and receive at the same time."""
    payload = os.urandom(size)
    sender = threading.Thread(target=send, args=(payload,))
    sender.start()
    received = bytearray()
    while len(received) < size:
        data = receive(65536)
        if not data:
            break
        received += data
    sender.join()
    check(payload, received)


def check(payload: bytes, received: bytes) -> None:
    same = hashlib.sha256(payload).digest() == hashlib.sha256(received).digest()
    sys.stdout.write("whole\n" if same else f"{len(received)} of {len(payload)} bytes\n")


def with_paramiko(port: int, method: str, secret: str, size: int) -> None:
    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    secrets = {"key_filename": secret} if method == "key" else {"password": secret}
    client.connect(
        "127.0.0.1", port, "alice", look_for_keys=False, allow_agent=method == "token", **secrets
    )
    channel = client.get_transport().open_channel("direct-tcpip", ("echo", 7), ("127.0.0.1", 1))
    exchange(channel.sendall, channel.recv, size)
    client.close()


def with_sshtunnel(port: int, method: str, secret: str, size: int) -> None:
    """As pgAdmin calls it."""
    from sshtunnel import SSHTunnelForwarder

    secrets = {"ssh_pkey": secret} if method == "key" else {"ssh_password": secret}
    with SSHTunnelForwarder(
        ("127.0.0.1", port),
        ssh_username="alice",
        remote_bind_address=("echo", 7),
        logger=None,
        **secrets,
    ) as tunnel:
        connection = socket.create_connection(("127.0.0.1", tunnel.local_bind_port))
        exchange(connection.sendall, connection.recv, size)
        connection.close()


def with_asyncssh(port: int, method: str, secret: str, size: int) -> None:
    import asyncssh

    async def run() -> None:
        secrets = {"client_keys": [secret]} if method == "key" else {"password": secret}
        keys = {} if method == "key" else {"client_keys": None}
        async with asyncssh.connect(
            "127.0.0.1", port, username="alice", known_hosts=None, **keys, **secrets
        ) as connection:
            reader, writer = await connection.open_connection("echo", 7)
            payload = os.urandom(size)
            writer.write(payload)
            writer.write_eof()
            check(payload, await reader.read())

    asyncio.run(run())


def with_libssh2(port: int, method: str, secret: str, size: int) -> None:
    from ssh2.session import Session

    connection = socket.create_connection(("127.0.0.1", port))
    session = Session()
    session.handshake(connection)
    if method == "key":
        session.userauth_publickey_fromfile("alice", secret)
    else:
        session.userauth_password("alice", secret)
    channel = session.direct_tcpip_ex("echo", 7, "127.0.0.1", 1)
    payload, received = os.urandom(size), bytearray()
    # One thread, as libssh2 wants it: no more is under way than both windows hold.
    for start in range(0, size, 32768):
        channel.write(payload[start : start + 32768])
        expected = min(size, start + 32768)
        while len(received) < expected:
            received += channel.read(expected - len(received))[1]
    check(payload, received)
    channel.close()
    session.disconnect()


LIBRARIES = {
    "paramiko": with_paramiko,
    "sshtunnel": with_sshtunnel,
    "asyncssh": with_asyncssh,
    "libssh2": with_libssh2,
}

if __name__ == "__main__":
    library, port, method, secret, size = sys.argv[1:]
    LIBRARIES[library](int(port), method, secret, int(size))

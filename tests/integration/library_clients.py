"""SSH libraries, each moving data through a front door: run as a process by the tests.

usage: python library_clients.py LIBRARY PORT LOGIN key|token SECRET HOST:PORT BYTES

Sends BYTES to HOST:PORT, expects them back, then closes; says "whole" if nothing differs.  With a
token each library also offers the keys that it finds, in the agent and in ``~/.ssh/id_ed25519``, as
it does when nobody tells it not to.  With ``ASK_FOR_NEW_KEYS`` in the environment it asks half-way,
where it can; not against a server that asks, too, since paramiko then asks amid an exchange.
"""

import asyncio
import contextlib
import hashlib
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

ASK_FOR_NEW_KEYS = "ASK_FOR_NEW_KEYS" in os.environ


def exchange(send, receive, size: int, rekey=lambda: None) -> None:
    """Send from a thread and receive at the same time; ask for new keys half-way."""
    payload = os.urandom(size)
    sender = threading.Thread(target=send, args=(payload,))
    sender.start()
    received = bytearray()
    asked = False
    while len(received) < size:
        data = receive(65536)
        if not data:
            break
        received += data
        if ASK_FOR_NEW_KEYS and not asked and len(received) > size // 2:
            asked = True
            rekey()
    sender.join()
    check(payload, received)


def check(payload: bytes, received: bytes) -> None:
    same = hashlib.sha256(payload).digest() == hashlib.sha256(received).digest()
    sys.stdout.write("whole\n" if same else f"{len(received)} of {len(payload)} bytes\n")


def with_paramiko(port: int, login: str, method: str, secret: str, target, size: int) -> None:
    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    if method == "key":
        secrets = {"key_filename": secret, "look_for_keys": False, "allow_agent": False}
    else:
        secrets = {"password": secret}
    client.connect("127.0.0.1", port, login, **secrets)
    transport = client.get_transport()
    channel = transport.open_channel("direct-tcpip", target, ("127.0.0.1", 1))
    exchange(channel.sendall, channel.recv, size, transport.renegotiate_keys)
    client.close()


def with_sshtunnel(port: int, login: str, method: str, secret: str, target, size: int) -> None:
    """As pgAdmin calls it."""
    from sshtunnel import SSHTunnelForwarder

    secrets = {"ssh_pkey": secret} if method == "key" else {"ssh_password": secret}
    tunnel = SSHTunnelForwarder(
        ("127.0.0.1", port),
        ssh_username=login,
        remote_bind_address=target,
        logger=None,
        set_keepalive=30,
        **secrets,
    )
    tunnel.daemon_forward_servers = True
    tunnel.start()
    connection = socket.create_connection(("127.0.0.1", tunnel.local_bind_port))
    exchange(connection.sendall, connection.recv, size)
    connection.close()
    tunnel.stop()


def with_asyncssh(port: int, login: str, method: str, secret: str, target, size: int) -> None:
    import asyncssh

    async def run() -> None:
        secrets: dict[str, Any]
        if method == "key":
            secrets = {"client_keys": [secret], "agent_path": None}
        else:
            secrets = {"password": secret}
        if ASK_FOR_NEW_KEYS:
            secrets["rekey_bytes"] = size // 2
        async with asyncssh.connect(
            "127.0.0.1", port, username=login, known_hosts=None, **secrets
        ) as connection:
            reader, writer = await connection.open_connection(*target)
            payload = os.urandom(size)
            writer.write(payload)
            writer.write_eof()
            check(payload, await reader.read())

    asyncio.run(run())


def with_libssh2(port: int, login: str, method: str, secret: str, target, size: int) -> None:
    from ssh2.session import Session

    connection = socket.create_connection(("127.0.0.1", port))
    session = Session()
    session.handshake(connection)
    if method == "key":
        session.userauth_publickey_fromfile(login, secret)
    elif not _found_key_opens(session, login):
        session.userauth_password(login, secret)
    channel = session.direct_tcpip_ex(*target, "127.0.0.1", 1)
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


def _found_key_opens(session, login: str) -> bool:
    """Try the agent's keys and the default file, as the tools built on libssh2 do."""
    from ssh2.exceptions import SSH2Error

    with contextlib.suppress(SSH2Error):
        session.agent_auth(login)
        return True
    own = Path.home() / ".ssh" / "id_ed25519"
    if own.exists():
        with contextlib.suppress(SSH2Error):
            session.userauth_publickey_fromfile(login, str(own))
            return True
    return False


LIBRARIES = {
    "paramiko": with_paramiko,
    "sshtunnel": with_sshtunnel,
    "asyncssh": with_asyncssh,
    "libssh2": with_libssh2,
}

if __name__ == "__main__":
    library, port, login, method, secret, target, size = sys.argv[1:]
    host, _, target_port = target.rpartition(":")
    LIBRARIES[library](int(port), login, method, secret, (host, int(target_port)), int(size))

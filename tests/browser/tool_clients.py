"""Logs in as graphical tools do, by the library each of them uses, and moves data.

Run as a program with one argument, the settings as JSON, by a Python that has the library.
"""

import contextlib
import json
import os
import socket
import sys

DATA = os.urandom(50_000)
PATIENCE = 60


def exchange(send, receive):
    """Send data, and receive the same."""
    send(DATA)
    received = b""
    while len(received) < len(DATA):
        more = receive(65536)
        if not more:
            break
        received += more
    if received != DATA:
        raise AssertionError(f"{len(received)} of {len(DATA)} bytes came back")


def with_sshtunnel(host, port, user, key, password, target):
    """pgAdmin: sshtunnel over paramiko, which tries what it is given and nothing else."""
    from sshtunnel import SSHTunnelForwarder

    secrets = {"ssh_pkey": key} if key else {"ssh_password": password}
    with (
        SSHTunnelForwarder(
            (host, port),
            ssh_username=user,
            remote_bind_address=target,
            allow_agent=False,
            host_pkey_directories=[],
            **secrets,
        ) as tunnel,
        socket.create_connection(("127.0.0.1", tunnel.local_bind_port), PATIENCE) as one,
    ):
        exchange(one.sendall, one.recv)


def with_libssh(host, port, user, key, password, target):
    """MySQL Workbench: libssh, a key file or a password."""
    from ssh import options
    from ssh.key import import_privkey_file
    from ssh.session import Session

    session = Session()
    session.options_set(options.HOST, host)
    session.options_set(options.USER, user)
    session.options_set_port(port)
    session.connect()
    if key:
        session.userauth_publickey(import_privkey_file(key))
    else:
        session.userauth_password(user, password)
    channel = session.channel_new()
    channel.open_forward(*target, "127.0.0.1", 0)
    exchange(lambda data: channel.write(data), lambda size: channel.read(size)[1])
    channel.close()
    session.disconnect()


def with_libssh2(host, port, user, key, password, target):
    """Robo 3T and FastoRedis: libssh2, a key file or a password."""
    from ssh2.session import Session

    with socket.create_connection((host, port), PATIENCE) as connection:
        session = Session()
        session.handshake(connection)
        if key:
            session.userauth_publickey_fromfile(user, key, "", key + ".pub")
        else:
            session.userauth_password(user, password)
        channel = session.direct_tcpip(*target)

        def send(data):
            sent = 0
            while sent < len(data):
                _, count = channel.write(data[sent:])
                sent += count

        exchange(send, lambda size: channel.read(size)[1])
        channel.close()


def with_jsch_order(host, port, user, key, password, target):
    """DBeaver: as JSch goes about it.  It asks which methods there are, tries publickey,
    keyboard-interactive and password in this order, and, having no terminal, answers no prompt."""
    import paramiko

    transport = paramiko.Transport((host, port))
    try:
        transport.start_client(timeout=PATIENCE)
        try:
            transport.auth_none(user)
        except paramiko.BadAuthenticationType as error:
            offered = error.allowed_types
        if key:
            transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key))
        else:
            if "keyboard-interactive" in offered:
                with contextlib.suppress(paramiko.SSHException):
                    transport.auth_interactive(user, lambda title, text, prompts: [])
            transport.auth_password(user, password, fallback=False)
        channel = transport.open_channel("direct-tcpip", target, ("127.0.0.1", 0), timeout=PATIENCE)
        exchange(channel.sendall, channel.recv)
    finally:
        transport.close()


def with_paramiko(host, port, user, key, password, target):
    """Any other tool."""
    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.WarningPolicy())
    secrets = {"key_filename": key} if key else {"password": password}
    client.connect(host, port, user, allow_agent=False, look_for_keys=False, **secrets)
    try:
        channel = client.get_transport().open_channel("direct-tcpip", target, ("127.0.0.1", 0))
        exchange(channel.sendall, channel.recv)
    finally:
        client.close()


LIBRARIES = {
    "sshtunnel": with_sshtunnel,
    "libssh": with_libssh,
    "libssh2": with_libssh2,
    "jsch": with_jsch_order,
    "paramiko": with_paramiko,
}

if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    target = (settings.pop("target_host"), settings.pop("target_port"))
    LIBRARIES[settings.pop("library")](target=target, **settings)

"""ssh's way to a pod through a company's proxy: a ProxyCommand that needs no other program.

It runs as a process of its own, between ssh and the proxy that the environment names.
"""

from __future__ import annotations

import os
import select
import shlex
import socket
import ssl
import sys
from collections.abc import Mapping

from tunnelcloud.domain.proxy_choice import BadProxy, proxy_from
from tunnelcloud.domain.proxy_dialogue import ProxyRefused
from tunnelcloud.net.proxy_connection import reach

_MOST = 64 * 1024
_STDIN, _STDOUT = 0, 1


def proxy_command(environment: Mapping[str, str], host: str, port: int) -> str:
    """Give ssh's ProxyCommand for a destination; empty where it is reached directly.

    The proxy's password stays in the environment.

    :raise BadProxy: a variable can't be used.
    """
    if proxy_from(environment, host, port) is None:
        return ""
    # -P: modules aren't taken from the directory in which somebody happens to be.
    words = (sys.executable, "-P", "-m", __name__)
    return f"{shlex.join(words).replace('%', '%%')} %h %p"


def carry(connection: socket.socket, first: bytes) -> None:
    """Carry bytes between ssh and a connection until one of the two ends.

    :param first: what has come of the connection already.
    """
    data = first
    while True:
        _write(data)
        data = b""
        decrypted = isinstance(connection, ssl.SSLSocket) and connection.pending()
        waiting = [] if decrypted else [connection.fileno(), _STDIN]
        readable = select.select(waiting, [], [])[0] if waiting else []
        if decrypted or connection.fileno() in readable:
            data = connection.recv(_MOST)
            if not data:
                return
        if _STDIN in readable:
            typed = os.read(_STDIN, _MOST)
            if not typed:
                return
            connection.sendall(typed)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(_STDOUT, data) :]


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Connect to a host and a port, and carry what ssh says; give the exit status."""
    host, port = arguments[0].strip("[]"), int(arguments[1])
    try:
        proxy = proxy_from(environment, host, port)
        if proxy is None:
            raise ProxyRefused("no variable of the environment names a proxy")
        connection, first = reach(proxy, host, port)
        with connection:
            carry(connection, first)
    except (BadProxy, ProxyRefused, OSError) as error:
        print(f"tunnelcloud: {error}", file=sys.stderr)  # noqa: T201  (ssh shows it)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

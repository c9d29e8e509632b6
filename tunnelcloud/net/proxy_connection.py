"""A connection through a proxy for a program that has no reactor: it waits for each step."""

from __future__ import annotations

import socket
import ssl
import time

from tunnelcloud.domain.proxy_choice import Proxy
from tunnelcloud.domain.proxy_dialogue import (
    ANSWER_SECONDS,
    ProxyRefused,
    dialogue_with,
    hung_up,
    no_answer,
)

_MOST = 64 * 1024


def reach(proxy: Proxy, host: str, port: int) -> tuple[socket.socket, bytes]:
    """Have a proxy carry a connection.

    :return: the connection, and the first bytes of its other end.
    :raise ProxyRefused: it doesn't, with what to do.
    """
    try:
        connection = socket.create_connection((proxy.host, proxy.port), ANSWER_SECONDS)
        deadline = time.monotonic() + ANSWER_SECONDS
    except OSError as error:
        raise ProxyRefused(f"the proxy {proxy} can't be reached: {error}") from None
    try:
        if proxy.scheme == "https":
            context = ssl.create_default_context()
            connection = context.wrap_socket(connection, server_hostname=proxy.host)
        return connection, _talk(connection, proxy, host, port, deadline)
    except TimeoutError:
        connection.close()
        raise ProxyRefused(no_answer(proxy, host, port)) from None
    except (OSError, ProxyRefused) as error:
        connection.close()
        raise ProxyRefused(str(error)) from None


def _talk(connection: socket.socket, proxy: Proxy, host: str, port: int, deadline: float) -> bytes:
    dialogue = dialogue_with(proxy, host, port)
    connection.sendall(dialogue.begin())
    while not dialogue.open:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        data = connection.recv(_MOST)
        if not data:
            raise ProxyRefused(hung_up(proxy, host, port))
        if answer := dialogue.feed(data):
            connection.sendall(answer)
    connection.settimeout(None)
    return dialogue.rest

"""Whether connections to an address come to this machine: it listens for a moment, and connects.

A random word, which this machine says to everybody who connects meanwhile, tells it apart from any
other server.  No other service is asked, so this shows nothing of who else reaches the address.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Thread

from attrs import frozen

from tunnelcloud.daemon import has_both_families

ANSWER_SECONDS = 3.0
"""How long an address has to answer: to connect, and then to say the word."""

_MOST_ADDRESSES = 8
_WORD_BYTES = 16


@frozen
class Reply:
    """What came of a connection to one address.

    :ivar is_back: whether it came to this machine.
    :ivar said: what a server said that isn't this machine; empty if it said nothing in time.
    :ivar fault: why there was no connection at all; empty if there was one.
    """

    is_back: bool = False
    said: bytes = b""
    fault: str = ""


def listener(port: int, interface: str = "") -> socket.socket:
    """Listen on a TCP port as a pod would.

    :param interface: an address of this machine; empty for all.
    :raise OSError: another program listens there, or this user may not.
    """
    if not interface and has_both_families():
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    return socket.create_server((interface, port), family=family)


def call(listening: socket.socket, addresses: Sequence[str], port: int) -> Mapping[str, Reply]:
    """Connect to each address, while this machine says a word on a socket that listens.

    It takes twice ``ANSWER_SECONDS`` at most.

    :param addresses: of the first few of them the replies are given.
    :param port: the one that others connect to; a router may hand it on to another.
    """
    word = secrets.token_hex(_WORD_BYTES).encode("ascii")
    called = addresses[:_MOST_ADDRESSES]
    with _saying(word, listening), ThreadPoolExecutor(_MOST_ADDRESSES) as threads:
        return dict(
            zip(called, threads.map(lambda one: _ask(one, port, word), called), strict=True)
        )


@contextmanager
def _saying(word: bytes, listening: socket.socket) -> Iterator[None]:
    """Say a word to everybody who connects."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # It was shut down.
            with connection, suppress(OSError):
                connection.sendall(word)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        # To close it wouldn't wake up the thread.
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def _ask(address: str, port: int, word: bytes) -> Reply:
    try:
        connection = socket.create_connection((address, port), ANSWER_SECONDS)
    except OSError as error:
        return Reply(fault=error.strerror or str(error))
    said = b""
    with connection, suppress(OSError):
        while word.startswith(said) and said != word:
            received = connection.recv(len(word) - len(said))
            if not received:
                break
            said += received
    return Reply(is_back=True) if said == word else Reply(said=said)

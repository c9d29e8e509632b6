"""No test listens on a TCP port of the machine that it wasn't given.

Port 0 has the kernel choose; ``tests.integration.processes.free_port`` gives what other programs
are told.  A stand-in that was passed by once really listened on port 1, and others that expect
nobody there waited for an answer.  What a test's programs bind isn't seen here: their settings say
it, by ``free_port``.
"""

from __future__ import annotations

import socket
import sys

FIRST_OF_RANGES = 12_000
"""Ranges of ports begin here, and end below ``FIRST_GIVEN``."""

FIRST_GIVEN = 20_000
"""``free_port`` gives none below."""


class NotGiven(AssertionError):
    """A test binds a port that it chose by itself."""


def _look(event: str, arguments: tuple[object, ...]) -> None:
    if event != "socket.bind":
        return
    one, address = arguments
    is_tcp = isinstance(one, socket.socket) and one.type == socket.SOCK_STREAM
    if is_tcp and isinstance(address, tuple) and 0 < address[1] < FIRST_OF_RANGES:
        raise NotGiven(f"port {address[1]} wasn't given: bind 0, or what free_port() gives")


def watch() -> None:
    """Look at each socket that this process binds from now on."""
    sys.addaudithook(_look)

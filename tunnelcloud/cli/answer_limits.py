"""How long a pod may take to answer a command, and how much it may say.

Whoever answers at the URL may be anybody.  The HTTP client limits each wait for a byte; a server
that sends a byte now and then, or goes on and on, would hold a command for ever.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from attrs import define

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 64 * 1024 * 1024
"""Of an answer; the longest but an export, a page of 200 events, has some 200 KiB."""


class TooLong(Exception):
    """An answer has more bytes than it may have."""


@define
class Patience:
    """Ends the connection when an answer takes too long altogether.

    :ivar is_over: whether it did so with the last answer.
    """

    is_over: bool = False
    _stream: Any = None

    def note(self, _event: str, told: Mapping[str, Any]) -> None:
        """Remember the connection; the HTTP client calls this with each step (``trace``)."""
        made = told.get("return_value")
        if hasattr(made, "get_extra_info"):
            self._stream = made

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Limit the time of what the block does; None for any time."""
        self.is_over = False
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        connection = self._stream and self._stream.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def read_whole(answer: httpx.Response, most: int | None) -> bytes:
    """Read an answer to its end.

    :param most: how many bytes it may have; None for any number.
    :raise TooLong: it has more.
    """
    found = bytearray()
    for piece in answer.iter_bytes():
        found += piece
        if most is not None and len(found) > most:
            raise TooLong
    return bytes(found)

"""What a read of a web connection costs, and what a connection's turns pause and resume."""

from typing import Protocol

from attrs import frozen

_PRICE_OF_A_READ, _PRICE_OF_A_HEAD = 10, 40
PRICE_OF_A_REQUEST = _PRICE_OF_A_READ + _PRICE_OF_A_HEAD
_END_OF_HEAD = b"\r\n\r\n"


def price_of(data: bytes) -> int:
    """Tell as how many of ``MESSAGES_A_ROUND`` a read counts, each of them about 8 µs."""
    begun = _PRICE_OF_A_HEAD if _END_OF_HEAD in data else 0
    return _PRICE_OF_A_READ + begun + data.count(b"\n") // 2


class Channel(Protocol):
    """A web connection that may have to wait before it reads on."""

    def pause_reading(self) -> None:
        """Read no more of the client."""

    def read_on(self) -> None:
        """Read more of the client, unless its requests or its answers are in the way."""


@frozen
class Reading:
    """Pauses reading while a connection waits for its turn."""

    channel: Channel

    def pauseProducing(self) -> None:
        """Read no more."""
        self.channel.pause_reading()

    def resumeProducing(self) -> None:
        """Read on."""
        self.channel.read_on()


class _NotReading:
    """For turns that keep no connection from being read."""

    def pauseProducing(self) -> None:
        """Go on reading."""

    def resumeProducing(self) -> None:
        """Go on reading."""


NOT_READING = _NotReading()

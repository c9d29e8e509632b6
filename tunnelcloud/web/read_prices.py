"""What reads of a web connection cost, and what a connection's turns pause and resume."""

from typing import Protocol

from attrs import frozen

PRICE_OF_A_READ, PRICE_OF_A_REQUEST = 10, 40
"""As how many of ``MESSAGES_A_ROUND`` they count, each of these about 8 µs."""

PARSED_AT_A_PRICE = 2
"""How many lines of a head, or chunks of a body, count as one."""


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

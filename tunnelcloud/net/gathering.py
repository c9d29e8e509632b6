"""When a connection of many channels writes: at once, or with the rest of the reactor's turn.

One write for all that a turn brings saves most of what writes cost.  A small message that comes
alone doesn't wait for others: it may be a keystroke.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

SMALL = 2 * 1024
"""Bytes from which a message isn't a keystroke."""

ALONE = 100e-6
"""Seconds since the one before after which small data comes alone: turns are shorter."""


class Gathering:
    """Tells a writer when to write.

    :param flush: writes all that waits; called in the reactor's next turn.
    """

    __slots__ = ("_call", "_clock", "_flush", "_written_at")

    def __init__(self, clock: IReactorTime, flush: Callable[[], object]) -> None:
        self._clock = clock
        self._flush = flush
        self._call: IDelayedCall | None = None
        self._written_at = -ALONE

    def waits(self, size: int) -> bool:
        """Tell whether what is to be written waits for more; if not, it is to be written now.

        :param size: how many bytes there are.
        """
        if self._call is not None:
            return True
        if size < SMALL:
            now = self._clock.seconds()
            if now - self._written_at > ALONE:
                self._written_at = now
                return False
        self._call = self._clock.callLater(0, self._flush_later)
        return True

    def stop(self) -> None:
        """Flush nothing more: the connection is over."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _flush_later(self) -> None:
        self._call = None
        self._flush()

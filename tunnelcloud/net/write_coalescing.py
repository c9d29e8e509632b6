"""When a connection of many channels writes: at once, or with the rest of what one turn brings.

One write for all that a turn brings saves most of what writes cost.  A small message that comes
alone doesn't wait for others: it may be a keystroke.  But a read of one connection may bring
several messages for another: these leave together, as soon as the read has been worked off.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

SMALL = 2 * 1024
"""Bytes from which a message isn't a keystroke."""

ALONE = 100e-6
"""Seconds since the one before after which small data comes alone: turns are shorter."""


class Turn:
    """What one event brings, such as one read of a connection: a context manager.

    While it lasts, other connections' writers keep small messages.  They write when it ends, the
    first that kept anything first.
    """

    _log = Logger()

    __slots__ = ("_depth", "_writers")

    def __init__(self) -> None:
        self._depth = 0
        self._writers: list[Callable[[], object]] = []

    @property
    def lasts(self) -> bool:
        """Whether an event is being worked off."""
        return self._depth > 0

    def at_end(self, write: Callable[[], object]) -> None:
        """Have a writer write when the event has been worked off."""
        assert self._depth, "nothing would call it"
        self._writers.append(write)

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: Any) -> None:
        self._depth -= 1
        if self._depth or not self._writers:
            return
        writers, self._writers = self._writers, []
        for write in writers:
            try:
                write()
            except Exception:  # the other writers' connections have nothing to do with it
                self._log.failure("what a connection kept can't be written")


TURN = Turn()
"""The process's one: events are worked off one after the other, and each to its end."""


class Gathering:
    """Tells a writer when to write.

    :param flush: writes all that waits; called at the end of what the reactor works on, or in its
        next turn.
    """

    __slots__ = ("_call", "_clock", "_flush", "_kept", "_written_at")

    def __init__(self, clock: IReactorTime, flush: Callable[[], object]) -> None:
        self._clock = clock
        self._flush = flush
        self._call: IDelayedCall | None = None
        self._kept = False
        self._written_at = -ALONE

    def waits(self, size: int) -> bool:
        """Tell whether what is to be written waits for more; if not, it is to be written now.

        :param size: how many bytes there are.
        """
        if self._kept or self._call is not None:
            return True
        if size < SMALL:
            now = self._clock.seconds()
            if now - self._written_at > ALONE:
                self._written_at = now
                return self.waits_for_event()
        self._call = self._clock.callLater(0, self._flush_later)
        return True

    def waits_for_event(self) -> bool:
        """Tell the same of what waits for no more than the end of what another connection read."""
        if self._kept or self._call is not None:
            return True
        if TURN.lasts:
            self._kept = True
            TURN.at_end(self._flush_kept)
        return self._kept

    def stop(self) -> None:
        """Flush nothing more: the connection is over."""
        self._kept = False
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _flush_kept(self) -> None:
        if self._kept:
            self._kept = False
            self._flush()

    def _flush_later(self) -> None:
        self._call = None
        self._flush()

"""Lets a connection with many messages at once take turns with all others.

One read of a socket may bring thousands of small messages.  Handling all of them in one turn of the
reactor would hold up everybody else's bytes.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

MESSAGES_A_ROUND = 256
"""How many messages one connection may bring in a turn of the reactor: about two milliseconds."""


class Rounds:
    """Puts the rest of one connection's messages off to the reactor's next turn.

    :param go_on: works on more of the messages; called in the next turn.
    """

    __slots__ = ("_call", "_clock", "_go_on")

    def __init__(self, clock: IReactorTime, go_on: Callable[[], object]) -> None:
        self._clock = clock
        self._go_on = go_on
        self._call: IDelayedCall | None = None

    @property
    def waiting(self) -> bool:
        """Whether the rest waits for its turn."""
        return self._call is not None

    def wait(self, transport: Any) -> None:
        """Read no more of ``transport``, and go on in the next turn."""
        transport.pauseProducing()
        self._call = self._clock.callLater(0, self._next, transport)

    def stop(self) -> None:
        """Go on no more: the connection is over."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _next(self, transport: Any) -> None:
        self._call = None
        self._go_on()
        if self._call is None:
            transport.resumeProducing()

"""Spreads what one event causes for many things over turns of the reactor.

A connection that is lost may have thousands of channels, and hundreds of connections may be lost at
one time.  A few things are ended at once; the rest follow in the next turns, a few in each, and
others' bytes come in between.
"""

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from tunnelcloud.net.write_coalescing import TURN

STEPS_A_TURN = 16
"""How many steps are done in one turn of the reactor, whoever caused them: about three
milliseconds."""


class Spreading:
    """Does work in steps; the works of one process take turns."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._left = STEPS_A_TURN
        self._waiting: deque[Callable[[], bool]] = deque()
        self._call: IDelayedCall | None = None

    def run(self, step: Callable[[], bool]) -> None:
        """Call ``step`` again and again, until it returns that nothing is left to do.

        The first calls come before this returns, if this turn has room for them.
        """
        self._waiting.append(step)
        if len(self._waiting) == 1:
            self._go_on()

    def _go_on(self) -> None:
        with TURN:
            while self._waiting and self._left > 0:
                self._left -= 1
                step = self._waiting[0]
                if self._is_done(step):
                    self._waiting.popleft()
                else:
                    self._waiting.rotate(-1)
        # Where few steps were done they may be of several turns: then no turn need be begun.
        if self._call is None and (self._waiting or self._left <= STEPS_A_TURN // 2):
            self._call = self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        self._call = None
        self._left = STEPS_A_TURN
        self._go_on()

    def _is_done(self, step: Callable[[], bool]) -> bool:
        try:
            return not step()
        except Exception:  # the others of the same work have nothing to do with it
            self._log.failure("a step of what ends can't be done")
            return False

"""When Python looks for garbage: while it does, the whole program stands still.

Most objects go as soon as nobody refers to them; the collector is for rings of objects that refer
to each other.  It looks often at what is new, which takes a millisecond or two.  A look at all that
there is takes 300 ms of a pod with 300,000 objects: it comes only after the program has grown, and
while the program has work to do only after it has grown by a lot.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import LoopingCall

NEW_OBJECTS = 2_000
"""How many new ones are looked at together."""

LOOKS = 5
"""What has stayed after so many looks is looked at once more; then it is old."""

_NEVER = 1_000_000_000

SAMPLE_SECONDS = 10.0
SAMPLES = 6
"""What is there for a minute has come to stay; a long answer is made and gone in less."""

GROWTH = 200_000
"""Pieces of memory, some 20 MB: with fewer than these more, nothing old is looked at."""

BUSY_GROWTH = 3 * GROWTH
"""With fewer than these more, nothing old is looked at while people wait for the program."""

OF_A_CONNECTION = 150
"""Pieces of memory that a connection may hold: a half-sent request holds 70, a stranger to SSH 50.

What connections hold is no garbage: nobody brings about a look by opening many.
"""

QUIET_SHARE = 0.05
"""With less than this share of a processor in the last minute, nobody is kept waiting for long."""


def look_seldom(reactor: Any) -> None:
    """Keep Python's looks for garbage short, in a program that is about to start."""
    gc.set_threshold(NEW_OBJECTS, LOOKS, _NEVER)
    growth = Growth(partial(not_held, reactor))

    def begin() -> None:
        # What is there by now stays: it is never looked at.
        gc.freeze()
        looking = LoopingCall(growth.sample)
        looking.clock = reactor
        looking.start(SAMPLE_SECONDS)

    reactor.callWhenRunning(begin)


def not_held(reactor: IReactorFDSet) -> int:
    """Count the pieces of memory in use, but for those that open connections may hold."""
    return sys.getallocatedblocks() - OF_A_CONNECTION * len(reactor.getReaders())


@define(eq=False)
class Growth:
    """Looks at all that there is once the program has grown for good.

    :ivar count: gives the pieces of memory in use that may be garbage.
    :ivar collect: looks, and frees what is found.
    :ivar worked: tells the seconds of a processor that the program has used.
    """

    count: Callable[[], int]
    collect: Callable[[], object] = gc.collect
    worked: Callable[[], float] = time.process_time
    _last: deque[int] = field(factory=lambda: deque(maxlen=SAMPLES), init=False)
    _work: deque[float] = field(factory=lambda: deque(maxlen=SAMPLES), init=False)
    _kept: int | None = field(default=None, init=False)

    def sample(self) -> None:
        """Count; called every ``SAMPLE_SECONDS``."""
        count = self.count()
        if self._kept is None:
            self._kept = count
        self._last.append(count)
        self._work.append(self.worked())
        if len(self._last) < SAMPLES:
            return
        stays = min(self._last)
        # After it has shrunk, growing again counts from there.
        self._kept = min(self._kept, stays)
        if stays - self._kept > self._bearable(self._kept):
            self.collect()
            self._kept = self.count()
            self._last.clear()
            self._work.clear()

    def _bearable(self, kept: int) -> int:
        """Give by how much the program may grow before all of it is looked at."""
        minute = (SAMPLES - 1) * SAMPLE_SECONDS
        if self._work[-1] - self._work[0] < QUIET_SHARE * minute:
            return max(GROWTH, kept // 2)
        return max(BUSY_GROWTH, kept)

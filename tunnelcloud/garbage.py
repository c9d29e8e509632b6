"""When Python looks for garbage: while it does, the whole program stands still.

Most objects go as soon as nobody refers to them; the collector is for rings of objects that refer
to each other.  It looks often at what is new, which takes a millisecond or two.  A look at all that
there is takes 300 ms of a pod with 300,000 objects: it comes only after the program has grown.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.task import LoopingCall

NEW_OBJECTS = 2_000
"""So many new ones are looked at together."""

LOOKS = 5
"""What has stayed after so many looks is looked at once more; then it is old."""

_NEVER = 1_000_000_000

SAMPLE_SECONDS = 10.0
SAMPLES = 6
"""What is there for a minute has come to stay; a long answer is made and gone in less."""

GROWTH = 200_000
"""Pieces of memory, some 20 MB: with fewer than these more, nothing old is looked at."""


def look_seldom(reactor: Any) -> None:
    """Keep Python's looks for garbage short, in a program that is about to start."""
    gc.set_threshold(NEW_OBJECTS, LOOKS, _NEVER)
    growth = Growth()

    def begin() -> None:
        # What is there by now stays: it is never looked at.
        gc.freeze()
        looking = LoopingCall(growth.sample)
        looking.clock = reactor
        looking.start(SAMPLE_SECONDS)

    reactor.callWhenRunning(begin)


@define(eq=False)
class Growth:
    """Looks at all that there is once the program has grown for good.

    :ivar count: gives the pieces of memory in use.
    :ivar collect: looks, and frees what is found.
    """

    count: Callable[[], int] = sys.getallocatedblocks
    collect: Callable[[], object] = gc.collect
    _last: deque[int] = field(factory=lambda: deque(maxlen=SAMPLES), init=False)
    _kept: int | None = field(default=None, init=False)

    def sample(self) -> None:
        """Count; called every ``SAMPLE_SECONDS``."""
        count = self.count()
        if self._kept is None:
            self._kept = count
        self._last.append(count)
        if len(self._last) < SAMPLES:
            return
        stays = min(self._last)
        # After it has shrunk, growing again counts from there.
        self._kept = min(self._kept, stays)
        if stays - self._kept > max(GROWTH, self._kept // 2):
            self.collect()
            self._kept = self.count()
            self._last.clear()

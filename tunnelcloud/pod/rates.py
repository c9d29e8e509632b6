"""How fast bytes flow now: the average over the last few seconds.

Counts of all that is open are looked at every L{SAMPLE_SECONDS} and kept for two looks, so that a
rate is known to whoever asks first, and costs who carries the bytes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

Traffic = tuple[int, int]
"""Bytes to the target and from it, since the beginning."""

SAMPLE_SECONDS = 3.0
_KEPT = 2
_SHORTEST = 0.5


@define(eq=False)
class Rates:
    """Remembers byte counts by id.

    :ivar counts: gives those of now.
    """

    clock: IReactorTime
    counts: Callable[[], Mapping[str, Traffic]]
    _looks: deque[tuple[float, Mapping[str, Traffic]]] = field(
        factory=lambda: deque(maxlen=_KEPT), init=False
    )

    def sample(self) -> None:
        """Look; called every L{SAMPLE_SECONDS}."""
        self._looks.append((self.clock.seconds(), self.counts()))

    def of(self, one: str, now: Traffic) -> tuple[float, float]:
        """Give bytes a second to the target and from it; what is new began with none.

        :param now: its counts as of now.
        """
        if not self._looks:
            return 0.0, 0.0
        at, seen = self._looks[0]
        passed = max(self.clock.seconds() - at, _SHORTEST)
        to_target, from_target = seen.get(one, (0, 0))
        return (now[0] - to_target) / passed, (now[1] - from_target) / passed

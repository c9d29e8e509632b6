"""How fast bytes flow: told from what was seen the time before."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

_SOONEST = 0.9
"""Seconds below which what was seen before stands."""
_FORGOTTEN = 60


@define
class Rates:
    """Remembers the byte counts of what is open.

    :ivar clock: times the looks.
    """

    clock: IReactorTime
    _seen: dict[str, tuple[float, int, float]] = field(factory=dict)

    def look(self, counts: dict[str, int]) -> dict[str, float]:
        """Give bytes a second since the last look, by id; what is seen first is left out.

        :param counts: bytes so far; what isn't looked at for a minute is forgotten.
        """
        now = self.clock.seconds()
        seen = {one: last for one, last in self._seen.items() if now - last[0] < _FORGOTTEN}
        found: dict[str, float] = {}
        for one, count in counts.items():
            before = self._seen.get(one)
            if before is None:
                seen[one] = (now, count, -1.0)
                continue
            passed = now - before[0]
            if passed >= _SOONEST:
                before = (now, count, max(0, count - before[1]) / passed)
            seen[one] = before
            if before[2] >= 0:
                found[one] = before[2]
        self._seen = seen
        return found

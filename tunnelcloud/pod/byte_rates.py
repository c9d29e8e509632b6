"""How fast bytes flow now: the average over the last few seconds.

The counts of all open channels are sampled every ``SAMPLE_SECONDS``, and the last two samples kept,
so that the first request already gets a rate, and carrying bytes costs nothing more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from tunnelcloud.store.sessions import Traffic

SAMPLE_SECONDS = 3.0
_KEPT = 2
_SHORTEST = 0.5


@frozen
class Counts:
    """The bytes carried so far, by the ids of open sessions and of their recorded channels.

    :ivar carriers: the ids of the connectors that carry the channels, by the channels' ids.
    """

    of_sessions: dict[str, Traffic] = field(factory=dict)
    of_channels: dict[str, Traffic] = field(factory=dict)
    carriers: dict[str, str] = field(factory=dict)

    def get(self, one: str) -> Traffic:
        """Return the count of a session or a channel; zero for an unknown one."""
        return self.of_sessions.get(one) or self.of_channels.get(one, (0, 0))


@define(eq=False)
class Rates:
    """Remembers byte counts by id.

    :ivar counts: counts the current bytes; fires with them.
    """

    clock: IReactorTime
    counts: Callable[[], Deferred[Counts]]
    _looks: deque[tuple[float, Counts]] = field(factory=lambda: deque(maxlen=_KEPT), init=False)

    def sample(self) -> Deferred[None]:
        """Take a sample; called every ``SAMPLE_SECONDS``."""
        began = self.clock.seconds()
        return self.counts().addCallback(lambda counts: self._looks.append((began, counts)))

    def of(self, one: str, now: Traffic) -> tuple[float, float]:
        """Return bytes a second to the target and from it; a new channel began with none.

        :param now: its current counts.
        """
        if not self._looks:
            return 0.0, 0.0
        at, seen = self._looks[0]
        passed = max(self.clock.seconds() - at, _SHORTEST)
        to_target, from_target = seen.get(one)
        return (now[0] - to_target) / passed, (now[1] - from_target) / passed

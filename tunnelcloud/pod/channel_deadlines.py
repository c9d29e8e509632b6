"""When the permission of open channels may end by the clock: a heap, the soonest first."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator

from tunnelcloud.domain.entities import Grant
from tunnelcloud.domain.policy import Ask, holds_for
from tunnelcloud.pod.router import TunnelRoute

LOOK_AGAIN_SECONDS = 60.0
"""The longest until a right that the time of day ends is looked at: somebody may set the clock."""

IDLE_LOOKS = 8
"""How many times within an idle limit the pod looks whether bytes have passed."""


def seconds_left(grant: Grant, ask: Ask, route: TunnelRoute) -> float | None:
    """Return in how many seconds to look again at a channel that a path allows; None for never."""
    left = holds_for(grant, ask)
    found = [] if left is None else [min(left, LOOK_AGAIN_SECONDS)]
    for policy in grant.policies:
        if policy.idle_seconds is not None:
            still = policy.idle_seconds - route.idle_seconds()
            found.append(min(still, max(1.0, policy.idle_seconds / IDLE_LOOKS)))
    return max(0.0, min(found)) if found else None


class Deadlines:
    """The channels to be checked again, by time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, TunnelRoute]] = []
        self._order = itertools.count()

    def set(self, route: TunnelRoute, due: float | None) -> None:
        """Set the time to look at a channel, in place of an earlier one.

        :param due: in seconds of the reactor's clock; None is never.
        """
        if due == route.due:
            return
        route.due = due
        if due is not None:
            heapq.heappush(self._heap, (due, next(self._order), route))

    def due(self, now: float) -> Iterator[TunnelRoute]:
        """Take the channels whose time has come."""
        while self._heap and self._heap[0][0] <= now:
            due, _, route = heapq.heappop(self._heap)
            if route.due == due and not route.over:
                route.due = None
                yield route

    def __len__(self) -> int:
        return len(self._heap)

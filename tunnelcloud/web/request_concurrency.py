"""How many requests of one party or user are in work at a time, and how much time they may take.

Each request costs everybody else milliseconds.  Whoever opens hundreds of connections would have
hundreds of them before each of others'; here the others of the same party wait, and once it is
known which user asks, the others of the same user.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

MOST_IN_WORK = 32
MOST_BEGUN = 8
"""How many requests that had to wait are begun in one turn of the reactor, whosever they are."""

MOST_OF_A_USER = 4
"""How many requests of a user who has signed in are in work at a time, from wherever they come.
Each may have all of the user's tunnels in memory, which are 8 to 16 MiB where there are 4,000.  A
long answer is in work until its client has read it, as all of it is in memory until then."""

_MOST_RESTING = 1000


class Waiting(Protocol):
    """A request that may have to wait."""

    def go_on(self) -> None:
        """Answer it now."""


class Parties:
    """The requests of one listener, by whose they are.

    Some are answered at once, so that none is ever in work beside another.  So whatever time of the
    reactor's a party's request takes until it waits for something, the party leaves as much to
    others before its next.

    :param clock: the reactor's.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._in_work: dict[Waiting, str] = {}
        self._counts: Counter[str] = Counter()
        self._rests_until: dict[str, float] = {}
        self._waiting: dict[str, dict[Waiting, None]] = {}
        self._call: IDelayedCall | None = None

    def begin(self, request: Waiting, party: str) -> None:
        """Answer a request now, or when others of its party are over."""
        if party not in self._waiting and self._has_room(party):
            self._go_on(request, party)
        else:
            self._waiting.setdefault(party, {})[request] = None
            self._turn_soon()

    def over(self, request: Waiting, party: str) -> None:
        """Count a request no longer: it is answered, lost, counted as its user's, or goes on for as
        long as its reader stays; without effect the second time."""
        self._wait_no_more(request, party)
        if self._in_work.pop(request, None) is None:
            return
        self._counts[party] -= 1
        if not self._counts[party]:
            del self._counts[party]
        if party in self._waiting:
            self._turn_soon()

    def _has_room(self, party: str) -> bool:
        rests_until = self._rests_until.get(party, 0.0)
        return self._counts[party] < MOST_IN_WORK and self._clock.seconds() >= rests_until

    def _go_on(self, request: Waiting, party: str) -> None:
        self._counts[party] += 1
        self._in_work[request] = party
        began = self._clock.seconds()
        request.go_on()
        ended = self._clock.seconds()
        self._rests_until[party] = ended + (ended - began)
        if len(self._rests_until) > _MOST_RESTING:
            self._rests_until = {
                one: until for one, until in self._rests_until.items() if until > ended
            }

    def _wait_no_more(self, request: Waiting, party: str) -> None:
        waiting = self._waiting.get(party)
        if waiting is not None:
            waiting.pop(request, None)
            if not waiting:
                del self._waiting[party]

    def _turn_soon(self) -> None:
        """Look in the reactor's next turn, or when the first party that waits has rested."""
        ready = [one for one in self._waiting if self._counts[one] < MOST_IN_WORK]
        if not ready:
            return
        now = self._clock.seconds()
        left = max(0.0, min(self._rests_until.get(one, now) for one in ready) - now)
        if self._call is None:
            self._call = self._clock.callLater(left, self._turn)
        elif self._call.getTime() > now + left:
            self._call.reset(left)

    def _turn(self) -> None:
        """Begin one request of each of a few parties that have room now."""
        self._call = None
        ready = (party for party in tuple(self._waiting) if self._has_room(party))
        for party in islice(ready, MOST_BEGUN):
            waiting = self._waiting.pop(party, None)
            if waiting is None:
                continue
            request = next(iter(waiting))
            del waiting[request]
            if waiting:
                self._waiting[party] = waiting  # behind the others
            self._go_on(request, party)
        self._turn_soon()

"""How many requests of one party are in work at a time, and begin in a turn of the reactor.

Each request costs everybody else milliseconds.  Whoever opens hundreds of connections would have
hundreds of them before each of others'; here the others of the same party wait.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

MOST_IN_WORK = 32
MOST_A_TURN = 8
"""Some are answered at once, so that none of them is ever in work beside another."""


class Waiting(Protocol):
    """A request that may have to wait."""

    def go_on(self) -> None:
        """Answer it now."""


class Parties:
    """The requests of one listener, by whose they are.

    :param clock: the reactor's.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._in_work: dict[Waiting, str] = {}
        self._counts: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()
        self._waiting: dict[str, dict[Waiting, None]] = {}
        self._turns = False

    def begin(self, request: Waiting, party: str) -> None:
        """Answer a request now, or when others of its party are over."""
        if self._has_room(party):
            self._go_on(request, party)
        else:
            self._waiting.setdefault(party, {})[request] = None

    def over(self, request: Waiting, party: str) -> None:
        """Count a request no longer: it is answered, lost, or goes on for as long as its reader
        stays; without effect the second time."""
        waiting = self._waiting.get(party)
        if waiting is not None:
            waiting.pop(request, None)
            if not waiting:
                del self._waiting[party]
        if self._in_work.pop(request, None) is None:
            return
        self._counts[party] -= 1
        if not self._counts[party]:
            del self._counts[party]
        if party in self._waiting:
            self._turn_soon()

    def _has_room(self, party: str) -> bool:
        return self._counts[party] < MOST_IN_WORK and self._begun[party] < MOST_A_TURN

    def _go_on(self, request: Waiting, party: str) -> None:
        self._counts[party] += 1
        self._begun[party] += 1
        self._in_work[request] = party
        self._turn_soon()
        request.go_on()

    def _turn_soon(self) -> None:
        if not self._turns:
            self._turns = True
            self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        """Begin what waits and has room now."""
        self._turns = False
        self._begun.clear()
        for party in tuple(self._waiting):
            while self._has_room(party) and (waiting := self._waiting.get(party)):
                request = next(iter(waiting))
                del waiting[request]
                if not waiting:
                    del self._waiting[party]
                self._go_on(request, party)

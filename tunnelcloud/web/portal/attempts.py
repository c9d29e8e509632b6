"""Guessing passwords made slow, without locking anybody out.

Failures count for a name as tried from one network, and for that network: a guesser waits, the
person whose name is guessed signs in from elsewhere as ever.  Who signed in from this browser
before has a count of their own, which nobody else's failures touch.  Kept in memory, bounded.
"""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.sameness import folded

FREE_FOR_A_NAME = 5
FREE_FOR_A_NETWORK = 30
LONGEST_WAIT = 300.0
_FORGOTTEN_AFTER = 3600.0
_MAX_KEPT = 10_000


@define
class _Failures:
    count: int
    latest: float


@frozen
class Attempt:
    """Somebody who wants to prove who they are.

    :ivar name: as it was typed.
    :ivar device: what nobody but this person has: the id of a browser that they signed in from
        before, or of their sign-in; empty for anybody.
    """

    name: str
    source_ip: str
    device: str = field(default="", repr=False)

    @property
    def network(self) -> str:
        """Give what one party holds of addresses."""
        return source_group(self.source_ip)

    @property
    def own(self) -> tuple[str, ...]:
        """Name the count of this person."""
        name = folded(self.name.strip())[:320]
        return ("device", self.device, name) if self.device else (self.network, name)

    @property
    def all(self) -> list[tuple[tuple[str, ...], int]]:
        """Name each count, and how many failures are free."""
        shared = [] if self.device else [((self.network,), FREE_FOR_A_NETWORK)]
        return [(self.own, FREE_FOR_A_NAME), *shared]


class SignInAttempts:
    """Says how long the next attempt has to wait."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, ...], _Failures] = OrderedDict()
        self._slowed: set[str] = set()

    def begin(self, attempt: Attempt) -> float:
        """Count an attempt as failed, unless it is too early for one.

        :return: seconds to wait; 0 when the attempt may be made now.
        """
        wait = max(self._wait(key, free) for key, free in attempt.all)
        if wait <= 0:
            for key, _ in attempt.all:
                self._count(key)
            return 0.0
        return wait

    def begin_slowed(self, attempt: Attempt) -> bool:
        """Count an attempt from a network that waits, if only the network does.

        Such attempts are made one after the other; each needs ``end_slowed``.

        :return: whether it may be made.
        """
        own_wait = self._wait(attempt.own, FREE_FOR_A_NAME)
        if attempt.device or own_wait > 0 or attempt.network in self._slowed:
            return False
        self._slowed.add(attempt.network)
        self._count(attempt.own)
        return True

    def end_slowed(self, attempt: Attempt) -> None:
        """Let the next one of the network be made."""
        self._slowed.discard(attempt.network)

    def succeeded(self, attempt: Attempt) -> None:
        """Take back an attempt, and forget how often this name failed from there."""
        self._kept.pop(attempt.own, None)
        failures = None if attempt.device else self._kept.get((attempt.network,))
        if failures is not None:
            failures.count -= 1

    def _wait(self, key: tuple[str, ...], free: int) -> float:
        failures = self._kept.get(key)
        if failures is None or failures.count < free:
            return 0.0
        pause = min(2.0 ** min(failures.count - free, 16), LONGEST_WAIT)
        return failures.latest + pause - self._clock.seconds()

    def _count(self, key: tuple[str, ...]) -> None:
        now = self._clock.seconds()
        failures = self._kept.pop(key, None)
        if failures is None or now - failures.latest > _FORGOTTEN_AFTER:
            failures = _Failures(0, now)
        self._kept[key] = _Failures(failures.count + 1, now)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)

"""Guessing passwords made slow, without locking anybody out.

Failures count for a name as tried from one network, and for that network: a guesser waits, the
person whose name is guessed signs in from elsewhere as ever.  Kept in memory, bounded.
"""

from __future__ import annotations

from collections import OrderedDict

from attrs import define
from twisted.internet.interfaces import IReactorTime

from tunnelcloud.web.proxies import network_of

FREE_FOR_A_NAME = 5
FREE_FOR_A_NETWORK = 30
LONGEST_WAIT = 300.0
_FORGOTTEN_AFTER = 3600.0
_MAX_KEPT = 10_000


@define
class _Failures:
    count: int
    latest: float


class SignInAttempts:
    """Says how long the next attempt has to wait."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, ...], _Failures] = OrderedDict()

    def begin(self, name: str, source_ip: str) -> float:
        """Count an attempt as failed, unless it is too early for one.

        :return: seconds to wait; 0 when the attempt may be made now.
        """
        keys = self._keys(name, source_ip)
        wait = max(self._wait(key, free) for key, free in keys)
        if wait <= 0:
            for key, _ in keys:
                self._count(key)
            return 0.0
        return wait

    def succeeded(self, name: str, source_ip: str) -> None:
        """Take back an attempt, and forget how often this name failed from there."""
        (own, _), (network, _) = self._keys(name, source_ip)
        self._kept.pop(own, None)
        failures = self._kept.get(network)
        if failures is not None:
            failures.count -= 1

    def _keys(self, name: str, source_ip: str) -> list[tuple[tuple[str, ...], int]]:
        network = network_of(source_ip)
        return [
            ((network, name.strip().lower()[:320]), FREE_FOR_A_NAME),
            ((network,), FREE_FOR_A_NETWORK),
        ]

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

"""Decides when a lost connection is tried again, and when no longer; knows no ssh."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import random

from tunnelcloud.cli.client import Failed, Refused

_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
"""How many seconds to wait after the first failure in a row, the second…; the last one stays."""

_STEADY_SECONDS = 10
_REFUSED_SECONDS = 90
_LASTING = frozenset({400, 401, 403, 404, 409})
_REFUSALS = ("Permission denied", "Host key verification failed", "Too many authentication")
_ASLEEP_SECONDS = 30


class Pace:
    """How soon the next try comes.

    :param chance: gives a number from 0 to 1, so that many clients don't return at once.
    """

    def __init__(self, chance: Callable[[], float] = random) -> None:
        self._chance = chance
        self._failures = 0
        self._up_since: float | None = None
        self._refused_since: float | None = None
        self._was_up = False

    def is_up(self, now: float) -> None:
        """Note that the connection stands."""
        self._up_since, self._was_up, self._refused_since = now, True, None

    def next_try(self, now: float) -> float:
        """Note that the connection ended or didn't come about; say when to try again."""
        if self._up_since is not None and now - self._up_since >= _STEADY_SECONDS:
            self._failures = 0
        self._up_since = None
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        return now + pause * (0.75 + 0.25 * self._chance())

    def is_hopeless(self, now: float) -> bool:
        """Note that the connection was refused; tell whether another try is of no use.

        A connection that stood before may be refused while a pod that died still counts it.
        """
        if self._refused_since is None:
            self._refused_since = now
        return not self._was_up or now - self._refused_since >= _REFUSED_SECONDS


def lasts(error: Failed) -> bool:
    """Tell whether the API would say the same at the next try."""
    return isinstance(error, Refused) and error.status in _LASTING


def refusal_in(said: Sequence[str]) -> str:
    """Find the line in which ssh says that it was refused; empty for none."""
    return next((line for line in said if any(words in line for words in _REFUSALS)), "")


class Sleep:
    """Notices that the machine was asleep for so long that no connection outlived it."""

    def __init__(self) -> None:
        self._last = _asleep_so_far()

    def is_over(self) -> bool:
        """Tell whether the machine has slept since the last look."""
        before, self._last = self._last, _asleep_so_far()
        return self._last - before >= _ASLEEP_SECONDS


def _asleep_so_far() -> float:
    """Give a number of seconds that grows while the machine sleeps, and hardly otherwise."""
    asleep_too: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    if asleep_too is None:
        return time.time() - time.monotonic()
    return time.clock_gettime(asleep_too) - time.monotonic()

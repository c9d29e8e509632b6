"""Guessing passwords made slow, without locking anybody out.

Failures count for a name as tried from one network, and for that network: a guesser waits, the
person whose name is guessed can still sign in from elsewhere.  Of IPv6 the networks around it count
too, for a guesser may have 65,536; of IPv4 they don't, for neighbours there may be anybody.  Who
signed in from this browser before has a count of their own, which nobody else's failures touch.
Kept in memory, bounded; ``shared_attempts`` has the other pods count them too.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from tunnelcloud.domain.addresses import source_groups
from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.domain.tokens import hash_secret, without_secrets
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.web.problems import Problem

if TYPE_CHECKING:
    from tunnelcloud.web.portal.page_requests import Visit

FREE_FOR_A_NAME = 5
FREE_FOR_A_NETWORK = 30
_PEOPLE = 10
"""How many times as many different people may mistype in a whole site as in one network."""

LONGEST_WAIT = 300.0
MOST_OWED = 12 * LONGEST_WAIT
"""Seconds: so much may failures that came too early, at several pods at once, add to a wait."""

_FORGOTTEN_AFTER = 3600.0
_MAX_KEPT = 10_000
_CODES = "codes"
_SHARES = {group.rpartition("/")[2]: share for group, share in source_groups("2001:db8::")}
"""How many times as many failures are free, by the length of a network's prefix."""

Key = tuple[str, ...]
"""The name of a count."""


@define
class _Failures:
    """The failures that count for one name, or for one network.

    :ivar owed: seconds of a wait that another pod's failures fell into: they are waited for too.
    """

    count: int
    latest: float
    began: float
    owed: float = 0.0


@frozen
class Slowed:
    """A name, or a network, whose next sign-in has to wait.

    :ivar source: the network; empty for a browser that somebody signed in from before.
    :ivar name: empty for all names as tried from the network.
    :ivar seconds: since the first failure that counts.
    :ivar left: until the next attempt may be made.
    :ivar codes: whether they try codes of command lines, and not to sign in.
    """

    source: str
    name: str
    codes: bool
    seconds: float
    left: float


@frozen
class Attempt:
    """Somebody who wants to prove who they are.

    :ivar name: as it was typed.
    :ivar device: what nobody but this person has: the id of a browser that they signed in from
        before, or of their sign-in; empty for anybody.
    :ivar codes: whether somebody who is signed in tries codes of command lines.
    """

    name: str
    source_ip: str
    device: str = field(default="", repr=False)
    codes: bool = False

    @property
    def network(self) -> str:
        """Return the network of an address that counts as one party."""
        return self.networks[0]

    @property
    def networks(self) -> list[str]:
        """Return that network, and those around it that are the same party's."""
        groups = [group for group, _ in source_groups(self.source_ip)]
        return groups if ":" in groups[0] else groups[:1]

    @property
    def own(self) -> Key:
        """Name the count of this person."""
        return self.names[0]

    @property
    def names(self) -> list[Key]:
        """Name each count of this name, ``own`` first.

        Other pods are told them, so a secret that was typed for a name isn't in them.
        """
        name = without_secrets(folded(self.name.strip())[:320])
        kind = _CODES if self.codes else "device"
        if not self.device:
            return [(network, name) for network in self.networks]
        return [(kind, hash_secret(self.device).hex()[:32], name)]

    @property
    def all(self) -> list[Key]:
        """Name each count."""
        shared = [] if self.device else [(network,) for network in self.networks]
        return [*self.names, *shared]


def guess_at_code(visit: Visit) -> Attempt:
    """Return the attempt of a signed-in user who looks a code up."""
    who = visit.who()
    return Attempt(who.user.name, visit.source_ip, who.web_session_id, codes=True)


class SignInAttempts:
    """Says how long the next attempt has to wait."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._kept: OrderedDict[Key, _Failures] = OrderedDict()
        self._slowed: set[str] = set()
        self._told: list[Callable[[Key, int], None]] = []
        self._forgot: list[Callable[[Key], None]] = []

    def listen(self, told: Callable[[Key, int], None], forgot: Callable[[Key], None]) -> None:
        """Report each failure that is counted here, and each count that is forgotten.

        :param told: is given a count's name, and 1, or -1 for what is taken back.
        """
        self._told.append(told)
        self._forgot.append(forgot)

    def begin(self, attempt: Attempt) -> float:
        """Count an attempt as failed, unless it is too early for one.

        :return: seconds to wait; 0 when the attempt may be made now.
        """
        wait = max(self._wait(key, _free(key)) for key in attempt.all)
        if wait <= 0:
            for key in attempt.all:
                self._count_here(key)
            return 0.0
        return wait

    def begin_slowed(self, attempt: Attempt) -> bool:
        """Count an attempt from a network that waits, if only the network does.

        Such attempts are made one after the other; each needs ``end_slowed``.

        :return: whether it may be made.
        """
        wait = max(self._wait(key, _free(key)) for key in attempt.names)
        site = attempt.networks[-1]
        if attempt.device or wait > 0 or site in self._slowed:
            return False
        self._slowed.add(site)
        for key in attempt.names:
            self._count_here(key)
        return True

    def end_slowed(self, attempt: Attempt) -> None:
        """Let the network's next attempt begin."""
        self._slowed.discard(attempt.networks[-1])

    def succeeded(self, attempt: Attempt) -> None:
        """Take back an attempt, and forget how often this name failed from there."""
        self.take_back(attempt)
        self.forget(attempt)

    def take_back(self, attempt: Attempt) -> None:
        """Take an attempt back; earlier ones still count."""
        for key in attempt.all:
            self._uncount(key, 1)
            for told in self._told:
                told(key, -1)

    @contextmanager
    def unless_unavailable(self, attempt: Attempt) -> Iterator[None]:
        """Take an attempt back if what is done within fails because the pod can't do it now.

        Too many others may sign in, or the database may be away: then nothing was guessed.
        """
        try:
            yield
        except (Problem, StoreUnavailable):
            self.take_back(attempt)
            raise

    def forget(self, attempt: Attempt) -> None:
        """Forget how often a name failed from there."""
        for key in attempt.names:
            if self.drop(key):
                for forgot in self._forgot:
                    forgot(key)

    def drop(self, key: Key) -> bool:
        """Forget a count, as another pod did.

        :return: whether there was one.
        """
        return self._kept.pop(key, None) is not None

    def count_elsewhere(self, key: Key, failures: int) -> None:
        """Count failures at another pod.

        What came while its source had to wait here is waited for as well: who asks all pods at once
        gets no more attempts in the long run than who asks one.

        :param failures: below 0 for what is taken back.
        """
        if failures < 0:
            self._uncount(key, -failures)
        elif failures:
            owed = min(max(self._wait(key, _free(key)), 0.0), MOST_OWED)
            self._count(key, failures, owed)

    def slowed(self, most: int) -> list[Slowed]:
        """List who has to wait now, the longest wait first.

        :param most: how many at most.
        """
        now = self._clock.seconds()
        latest = takewhile(
            lambda one: now - one[1].latest <= LONGEST_WAIT + one[1].owed,
            reversed(self._kept.items()),
        )
        waits = ((self._wait(key, _free(key)), key, one) for key, one in latest)
        longest = heapq.nlargest(most, (one for one in waits if one[0] > 0), key=lambda one: one[0])
        return [Slowed(*_shown(key), now - failures.began, left) for left, key, failures in longest]

    def forgive(self, source: str, name: str, *, codes: bool = False) -> None:
        """Forget the failures of one that ``slowed`` lists."""
        for key in self.keys_of(source, name, codes=codes):
            del self._kept[key]

    def keys_of(self, source: str, name: str, *, codes: bool) -> list[Key]:
        """Name the counts of one that ``slowed`` lists."""
        return [one for one in self._kept if _shown(one) == (source, name, codes)]

    def _wait(self, key: Key, free: int) -> float:
        failures = self._kept.get(key)
        if failures is None or failures.count < free:
            return 0.0
        pause = min(2.0 ** min(failures.count - free, 16), LONGEST_WAIT)
        return failures.latest + failures.owed + pause - self._clock.seconds()

    def _count_here(self, key: Key) -> None:
        self._count(key, 1, 0.0)
        for told in self._told:
            told(key, 1)

    def _uncount(self, key: Key, count: int) -> None:
        failures = self._kept.get(key)
        if failures is not None:
            failures.count -= count
            if failures.count <= 0:
                del self._kept[key]

    def _count(self, key: Key, count: int, owed: float) -> None:
        now = self._clock.seconds()
        failures = self._kept.pop(key, None)
        if failures is None or now - failures.latest > _FORGOTTEN_AFTER:
            failures = _Failures(0, now, now)
        self._kept[key] = _Failures(failures.count + count, now, failures.began, owed)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)


def _free(key: Key) -> int:
    """Tell how many failures are free: more for a network around that of an address."""
    if len(key) == 3:
        return FREE_FOR_A_NAME
    share = _SHARES.get(key[0].rpartition("/")[2], 1)
    if len(key) == 2:
        return FREE_FOR_A_NAME * share
    return FREE_FOR_A_NETWORK * share * (_PEOPLE if share > 1 else 1)


def _shown(key: Key) -> tuple[str, str, bool]:
    """Give the source and the name of a count, and whether it is of codes."""
    if len(key) == 1:
        return key[0], "", False
    return ("", key[2], key[0] == _CODES) if len(key) == 3 else (key[0], key[1], False)

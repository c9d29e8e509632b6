"""Limits on new connections by source: OpenSSH's MaxStartups and penalties.

What holds, in words:

- Only connections that haven't logged in count, so that no session is ever cut by this.
- One source (an IPv4 address, or an IPv6 /64) holds at most ``per_source`` of them, and the
  networks around it a few times as many (:func:`source_groups`), still below where chance begins
  to drop others: a flood from one address, or from one site's many, locks out nobody else.
- From ``start`` connections on, a new one is dropped by chance, ``rate`` percent at first and all
  of them at ``full``.
- Offences add seconds of penalty to their source, and to the networks around it for as long as the
  source isn't shut out itself: one address alone shuts out no neighbour.  Penalties decay with
  time, and a login takes some off.  A source with more than ``threshold`` of them, or a
  network with as many times more as its share is larger, may not start a connection.

It knows a clock and a source of chance, and no connection.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from attrs import define, frozen
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from tunnelcloud.domain.addresses import Network, is_within, source_groups
from tunnelcloud.net.interfaces import IFloodControl

REFUSED_LOGIN = 5.0
BROKEN_PROTOCOL = 5.0
LOGIN_TIMEOUT = 10.0
ABANDONED = 0.5
"""What an offence costs, in seconds of penalty.

The last is for a client that had the pod compute keys and left without a login, or shares no
algorithm with it.  It is small: some clients connect anew for every key of an agent, ssh-keyscan
for every type.
"""

LOGIN_REBATE = 10.0
"""Seconds that a login takes off its source's penalty: about those of the client's failed attempts
before it."""

MOST_LOOKED_AT = 2000
"""How many of the sources that are shut out may be listed: the latest ones."""

_LOOKED_AT_FOR_ROOM = 64
"""How many penalties are looked at when there is no room for another: to look at all of them took
milliseconds an offence."""


@frozen
class FloodLimits:
    """When connections are dropped; ``rate`` is a percentage, penalties are in seconds."""

    start: int = 128
    rate: int = 30
    full: int = 512
    per_source: int = 24
    threshold: float = 15
    largest_penalty: float = 600
    remembered: int = 65_536


@define
class _Penalty:
    """The penalty of a source or a network.

    :ivar until: when it will have decayed.
    :ivar began: when it was given first.
    :ivar share: how many times as much as one source may have this one may have.
    """

    until: float
    began: float
    share: int


@frozen
class ShutOut:
    """A source, or a network of many, that may not start a connection now.

    :ivar seconds: for how long it has had a penalty.
    :ivar left: after how many seconds it may again.
    """

    source: str
    seconds: float
    left: float


@implementer(IFloodControl)
class FloodControl:
    """Counts connections before login and penalties, by source.

    :param chance: gives numbers in [0, 1), like ``random.random``.
    :param exempt: networks without penalties and without a limit of their own.
    """

    def __init__(
        self,
        clock: IReactorTime,
        chance: Callable[[], float],
        limits: FloodLimits | None = None,
        exempt: Iterable[Network] = (),
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._limits = limits or FloodLimits()
        self._exempt = tuple(exempt)
        self._starting: Counter[str] = Counter()
        self._total = 0
        self._penalties: dict[str, _Penalty] = {}
        self._shut_out: dict[str, _Penalty] = {}  # those above the threshold when they came
        self._counts: Counter[str] = Counter()
        self._listeners: list[Callable[[str, float], None]] = []

    def exempt(self, networks: Iterable[Network]) -> None:
        """Take these networks as exempt from now on."""
        self._exempt = tuple(networks)

    def connection_made(self, source: str) -> str:
        """See ``IFloodControl``."""
        cause = self._cause_to_drop(source)
        if cause is not None:
            self._counts[f"dropped_{cause}"] += 1
            return self._refusal(source, cause)
        self._counts["accepted"] += 1
        for group, _ in source_groups(source):
            self._starting[group] += 1
        self._total += 1
        return ""

    def authenticated(self, source: str) -> None:
        """See ``IFloodControl``."""
        self._counts["authenticated"] += 1
        for group, _ in source_groups(source):
            if group in self._penalties:
                self._penalties[group].until -= LOGIN_REBATE
        self._forget(source)

    def connection_lost(self, source: str) -> None:
        """See ``IFloodControl``."""
        self._forget(source)

    def offended(self, source: str, weight: float) -> None:
        """See ``IFloodControl``; ``weight`` is in seconds of penalty."""
        if is_within(source, self._exempt):
            return
        self._counts["offences"] += 1
        self.penalise(source, weight)
        for told in self._listeners:
            told(source, weight)

    def penalise(self, source: str, weight: float) -> None:
        """Add seconds of penalty for an offence that was counted elsewhere."""
        if is_within(source, self._exempt):
            return
        for group, share in source_groups(source):
            was_shut_out = self._penalty(group) > share * self._limits.threshold
            self._penalise(group, share, weight)
            if was_shut_out:
                break  # many connections that it had begun before are no fault of its neighbours

    def shut_out(self, most: int) -> list[ShutOut]:
        """List who may not start a connection, those with the longest wait first.

        Of more than ``MOST_LOOKED_AT``, those who offended latest.

        :param most: how many at most.
        """
        now = self._clock.seconds()
        latest = list(islice(reversed(self._shut_out.items()), MOST_LOOKED_AT))
        waits = [(self._left(one), group, one) for group, one in latest]
        for left, group, _ in waits:
            if left <= 0:
                del self._shut_out[group]
        longest = heapq.nlargest(most, (one for one in waits if one[0] > 0), key=lambda one: one[0])
        return [ShutOut(group, now - one.began, left) for left, group, one in longest]

    def _left(self, one: _Penalty) -> float:
        """Tell for how many seconds a penalty still shuts its source out."""
        return one.until - self._clock.seconds() - one.share * self._limits.threshold

    def forgive(self, group: str) -> bool:
        """Take all of a penalty off.

        :param group: as :meth:`shut_out` names it.
        :return: whether there was one.
        """
        return self._remove(group) is not None

    def _remove(self, group: str) -> _Penalty | None:
        self._shut_out.pop(group, None)
        return self._penalties.pop(group, None)

    def listen(self, told: Callable[[str, float], None]) -> None:
        """Have each offence told: its source, and its seconds of penalty."""
        self._listeners.append(told)

    def _penalise(self, group: str, share: int, weight: float) -> None:
        if group not in self._penalties and len(self._penalties) >= self._limits.remembered:
            self._make_room()
        # A penalty is kept as the time when the last of it will be gone.
        now = self._clock.seconds()
        one = self._remove(group)
        if one is None or one.until <= now:
            one = _Penalty(now, now, share)
        one.until = min(one.until + weight, now + self._limits.largest_penalty)
        self._penalties[group] = one
        if self._left(one) > 0:
            self._shut_out[group] = one

    def counters(self) -> Mapping[str, int]:
        """See ``IFloodControl``."""
        names = ("accepted", "authenticated", "offences")
        causes = ("dropped_penalty", "dropped_source", "dropped_chance", "dropped_full")
        counts = {name: self._counts[name] for name in (*names, *causes)}
        return {**counts, "starting": self._total, "penalised": len(self._penalties)}

    def _refusal(self, source: str, cause: str) -> str:
        if cause == "penalty":
            wait = math.ceil(self._excess(source))
            return f"too many failed logins from your address; try again in {max(wait, 1)} s"
        if cause == "source":
            return "too many connections from your address are logging in; try again in a minute"
        return "too many connections are logging in; try again in a moment"

    def _cause_to_drop(self, source: str) -> str | None:
        limits = self._limits
        if not is_within(source, self._exempt):
            if self._excess(source) > 0:
                return "penalty"
            groups = source_groups(source)
            if any(self._starting[group] >= share * limits.per_source for group, share in groups):
                return "source"
        if self._total >= limits.full:
            return "full"
        if self._total >= limits.start:
            rate = limits.rate / 100
            spread = (self._total - limits.start) / (limits.full - limits.start)
            if self._chance() < rate + (1 - rate) * spread:
                return "chance"
        return None

    def _excess(self, source: str) -> float:
        """Tell for how many seconds the penalties of a source and its networks are too much."""
        threshold = self._limits.threshold
        return max(
            self._penalty(group) - share * threshold for group, share in source_groups(source)
        )

    def _penalty(self, group: str) -> float:
        one = self._penalties.get(group)
        if one is None:
            return 0
        left = one.until - self._clock.seconds()
        if left <= 0:
            self._remove(group)
        return max(left, 0)

    def _forget(self, source: str) -> None:
        self._total -= 1
        for group, _ in source_groups(source):
            self._starting[group] -= 1
            assert self._starting[group] >= 0
            if not self._starting[group]:
                del self._starting[group]

    def _make_room(self) -> None:
        """Forget the penalties that are over of those given longest ago, or else the first."""
        now = self._clock.seconds()
        oldest = list(islice(self._penalties.items(), _LOOKED_AT_FOR_ROOM))
        over = [group for group, one in oldest if one.until <= now]
        for group in over or [oldest[0][0]]:
            self._remove(group)

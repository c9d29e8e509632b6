"""Fair shares: what one user may take of a pod that others share with them.

Each pool has a size, and each user a share of it: an eighth, unless ``pod.toml`` says otherwise.
The fuller a pool is, the less a user may have who has much; what is left is for who has little.
"""

from __future__ import annotations

import sys
from collections import Counter

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

SESSIONS, CHANNELS, PER_TARGET, PENDING, CHECKS = 5000, 5000, 1024, 1024, 64
"""Sizes of the pools; connectors have as many connections to a target, and as many pending."""

HELD = 12_000
"""Size of the pool of held channels.  One takes less than 4 KiB, and no connector's connection."""

OPENS_PER_SECOND = 2000


@frozen
class Shares:
    """The most that one user may have of each pool of a pod.

    :ivar sessions: SSH sessions.
    :ivar channels: open connections.
    :ivar per_target: connections to one tunnel's target, and channels that are held for it.
    :ivar pending: connections that are being made.
    :ivar held: channels that wait for an approval.
    :ivar opens_per_second: how many may be asked for in a second while others ask as well.
    :ivar checks: checks by ``doctor`` that run or wait.
    """

    sessions: int = SESSIONS // 8
    channels: int = CHANNELS // 8
    per_target: int = PER_TARGET // 8
    pending: int = PENDING // 8
    held: int = HELD // 8
    opens_per_second: int = OPENS_PER_SECOND // 8
    checks: int = CHECKS // 8


def has_room(count: int, share: int, used: int, pool: int) -> bool:
    """Tell whether a user may have one more of a pool.

    :param count: how much the user has.
    :param share: the most that a user may have; one that is the whole pool is no limit.
    :param used: how much all users have together.
    """
    if used >= pool:
        return False
    return share >= pool or (count < share and (count == 0 or count < pool - used))


@define
class _Bucket:
    left: float
    at: float

    def fill(self, now: float, per_second: float) -> None:
        """Add what came back since the last time; a second's worth is the most there is."""
        self.left = min(per_second, self.left + (now - self.at) * per_second)
        self.at = now


_KEPT_AT_MOST = 1000


@define(eq=False)
class Opens:
    """How fast users ask for connections.

    A user's own share is always theirs; beyond it they get what the others leave.
    """

    clock: IReactorTime
    share: float
    pool: float = OPENS_PER_SECOND
    _all: _Bucket = field(init=False)
    _users: dict[str, _Bucket] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with all there is."""
        self._all = _Bucket(self.pool, self.clock.seconds())

    def take(self, user_id: str) -> bool:
        """Count one more open, if the user may have it now."""
        now = self.clock.seconds()
        own = self._users.setdefault(user_id, _Bucket(self.share, now))
        own.fill(now, self.share)
        self._all.fill(now, self.pool)
        if own.left < 1 and self._all.left < self.pool / 2:
            return False
        own.left = max(0.0, own.left - 1)
        self._all.left = max(0.0, self._all.left - 1)
        if len(self._users) > _KEPT_AT_MOST:
            self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        """Forget users who would have all of their share again."""
        self._users = {user: one for user, one in self._users.items() if now - one.at < 1}


@define
class Tally:
    """How much each user has of one pool.

    :ivar share: the most that a user may have.
    :ivar pool: the most that all users may have together.
    """

    share: int
    pool: int = sys.maxsize
    counts: Counter[str] = field(factory=Counter)
    total: int = 0

    def has_room(self, user_id: str) -> bool:
        """Tell whether a user may have one more."""
        return has_room(self.counts.get(user_id, 0), self.share, self.total, self.pool)

    def add(self, user_id: str) -> None:
        """Count one more."""
        self.counts[user_id] += 1
        self.total += 1

    def remove(self, user_id: str) -> None:
        """Count one less."""
        self.total -= 1
        self.counts[user_id] -= 1
        if not self.counts[user_id]:
            del self.counts[user_id]

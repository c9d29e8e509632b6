"""Ends sessions whose keys have expired: no notice tells of what only the clock ends."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from attrs import define
from twisted.internet.defer import Deferred

from tunnelcloud.store import keys
from tunnelcloud.store.asynchronous import AsyncStore

EXPIRED_KEYS_SECONDS = 5.0

_SEEN_TWICE = timedelta(seconds=30)
"""A login takes less time: its session is here when its key is looked at for the last time."""


@define
class ExpiredKeys:
    """Looks which keys have expired since the last look.

    :ivar end: ends the sessions of these keys that this pod has.
    """

    store: AsyncStore
    end: Callable[[Collection[str]], None]
    _since: datetime | None = None

    def look(self) -> Deferred[None]:
        """Look, and have sessions ended; called every ``EXPIRED_KEYS_SECONDS``."""
        return self.store.read(keys.expired_since, self._since).addCallback(self._found)

    def _found(self, expired: keys.Expired) -> None:
        self._since = expired.looked_at - _SEEN_TWICE
        self.end(expired.key_ids)

"""Deletes old events and sessions, and tokens and sign-ins that have ended.

It works in small steps, so that nobody waits for it; if several pods do it at once, each row is
deleted by one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.store import (
    audit,
    clock_steps,
    history_shares,
    pods,
    preferences,
    sessions,
    sqlite_shrinking,
    tokens,
    web_sessions,
)
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.transaction import Transaction

KEEP_HOUSE_SECONDS = 300.0
BATCH = 500
PODS_KEPT = timedelta(days=1)
TOKENS_KEPT = timedelta(days=7)
"""How long the row of a used or expired token is kept; the audit keeps it longer."""

_log = Logger()

_Forget = Callable[[Transaction], int]


def _always(_: datetime) -> bool:
    return True


@frozen
class Housekeeping:
    """Deletes old rows, in the background.

    :ivar batch: how many rows one transaction deletes.
    :ivar is_steady: tells, of the time that the database's clock shows, whether events and sessions
        may be deleted for their age.
    """

    store: AsyncStore
    batch: int = BATCH
    is_steady: Callable[[datetime], bool] = _always

    def run(self) -> Deferred[None]:
        """Delete all rows that are due; fires when it is done, or the store can't be used."""
        return Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        name = "rows of users with more than their share"
        try:
            for crowd in await self.store.read_long(history_shares.crowding):
                await self._all(partial(_at_most, crowd, self.batch), name)
            name = "what was made while the clock was ahead"
            await self.store.write(clock_steps.end_what_is_to_come)
            name = "events"
            by_age: list[tuple[str, _Forget]] = []
            if self.is_steady(await self.store.read(Transaction.now)):
                by_age = [("events", self._events), ("sessions", self._sessions)]
            for name, forget in (
                *by_age,
                ("one-time tokens", self._tokens),
                ("sign-ins", web_sessions.forget_expired),
                ("pods", self._pods),
            ):
                await self._all(forget, name)
            name = "events beyond their size"
            await self._make_room(name)
            name = "pages of deleted rows"
            await self._all(partial(sqlite_shrinking.give_back, limit=self.batch), name)
        except StoreUnavailable:
            OUTAGES.tell(Failure(), f"{name} that are due weren't forgotten")

    async def _make_room(self, name: str) -> None:
        """Delete events until the rest fits: first of users with too many, then the oldest."""
        left = await self.store.read_long(history_shares.count_beyond)
        if not left:
            return
        for find in (history_shares.leaving_for_share, history_shares.leaving_for_size):
            for leaving in await self.store.read_long(find, left):
                await self.store.write(leaving.record)
                await self._all(partial(_at_most, leaving.forget, self.batch), name)
                left -= leaving.count

    async def _all(self, forget: _Forget, name: str) -> None:
        forgotten, count = 0, self.batch
        while count == self.batch:
            count = await self.store.write(forget)
            forgotten += count
        if forgotten:
            _log.info("{count} {name} were forgotten", count=forgotten, name=name)

    def _events(self, transaction: Transaction) -> int:
        days = preferences.settings(transaction).audit_retention_days
        if days is None:
            return 0
        return audit.forget(transaction, transaction.now() - timedelta(days=days), limit=self.batch)

    def _sessions(self, transaction: Transaction) -> int:
        days = preferences.settings(transaction).session_retention_days
        if days is None:
            return 0
        until = transaction.now() - timedelta(days=days)
        return sessions.forget(transaction, until, limit=self.batch)

    def _pods(self, transaction: Transaction) -> int:
        return pods.forget(transaction, transaction.now() - PODS_KEPT, limit=self.batch)

    def _tokens(self, transaction: Transaction) -> int:
        return tokens.forget(transaction, transaction.now() - TOKENS_KEPT, limit=self.batch)


def _at_most(forget: history_shares.Forget, limit: int, transaction: Transaction) -> int:
    return forget(transaction, limit)

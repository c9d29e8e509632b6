"""What one user may take of what is kept: of more, their own oldest goes, and nobody else's.

A user whose client opens channels all day long writes more than all others together; without a
share of their own they would push the others' history out of a size that is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import ColumnElement, Table, delete, func, select

from tunnelcloud.domain.events import CATALOGUE
from tunnelcloud.store import audit, preferences
from tunnelcloud.store.columns import first_id
from tunnelcloud.store.schema import audit as events
from tunnelcloud.store.schema import channels, sessions
from tunnelcloud.store.transaction import Transaction

MOST_CHANNELS = 250_000
MOST_SESSIONS = 50_000
"""So many past ones of one user are kept, whatever their age."""

YOUNG = timedelta(days=7)
MOST_YOUNG = 4
"""Those that began since then are kept too, up to so many times as many."""

PART_OF_AUDIT = 8
"""One user's use may take such a part of the audit's size, and so may all that nobody proved."""

UNPROVEN = ("connector.join_refused", "login.refused", "web_login.refused")
"""Events of strangers: the user in them is whom they named, and answers for none of them."""

_OFTEN = ("channel.", "login.", "session.", "web_login.")
ROUTINE = tuple(
    sorted(name for name in CATALOGUE if name.startswith(_OFTEN) and name not in UNPROVEN)
)
"""Events of the use of tunnels, as often as a client likes; none of a change."""

_MIB = 1 << 20

Forget = Callable[[Transaction, int], int]
"""Deletes so many rows at most, and says how many there were."""


def crowding(transaction: Transaction) -> list[Forget]:
    """Find what is beyond a user's share, and give what deletes it."""
    return [
        *_past(transaction, channels, "channel", channels.c.closed_at.is_not(None), MOST_CHANNELS),
        *_past(transaction, sessions, "session", sessions.c.ended_at.is_not(None), MOST_SESSIONS),
        *_events(transaction),
    ]


def _past(
    transaction: Transaction, table: Table, kind: str, which: ColumnElement[bool], most: int
) -> list[Forget]:
    young = first_id(kind, transaction.now() - YOUNG)
    found = []
    for theirs in _crowds(transaction, table, which, most):
        last = min(_last_beyond(transaction, table, theirs, most) or "", young)
        hardest = _last_beyond(transaction, table, theirs, most * MOST_YOUNG) or ""
        found.append(_forgetting(table, theirs & (table.c.id <= max(last, hardest))))
    return found


def _events(transaction: Transaction) -> list[Forget]:
    """Find events beyond their share, of whatever age: only when all are beyond their size."""
    most = preferences.settings(transaction).audit_max_mib
    if most is None or audit.first_that_fits(transaction, most * _MIB) is None:
        return []
    share = audit.fitting(transaction, most * _MIB // PART_OF_AUDIT)
    crowds = _crowds(transaction, events, events.c.event.in_(ROUTINE), share)
    found = []
    for which in (*crowds, events.c.event.in_(UNPROVEN)):
        last = _last_beyond(transaction, events, which, share)
        if last is not None:
            found.append(_forgetting(events, which & (events.c.id <= last)))
    return found


def _crowds(
    transaction: Transaction, table: Table, which: ColumnElement[bool], most: int
) -> list[ColumnElement[bool]]:
    """Find the users with more rows of a kind than that, and give what selects theirs."""
    query = (
        select(table.c.user_id)
        .where(table.c.user_id.is_not(None), which)
        .group_by(table.c.user_id)
        .having(func.count() > most)
    )
    found = transaction.connection.execute(query).scalars().all()
    return [(table.c.user_id == user_id) & which for user_id in found]


def _last_beyond(
    transaction: Transaction, table: Table, which: ColumnElement[bool], most: int
) -> str | None:
    """Find the last row before the latest so many; None where there are no more than these."""
    query = select(table.c.id).where(which).order_by(table.c.id.desc()).offset(most).limit(1)
    return transaction.connection.execute(query).scalar()


def _forgetting(table: Table, which: ColumnElement[bool]) -> Forget:
    def forget(transaction: Transaction, limit: int) -> int:
        run = transaction.connection.execute
        oldest = select(table.c.id).where(which).order_by(table.c.id).limit(limit)
        ids = run(oldest).scalars().all()
        if table is sessions:
            run(delete(channels).where(channels.c.session_id.in_(ids)))
        return run(delete(table).where(table.c.id.in_(ids))).rowcount

    return forget

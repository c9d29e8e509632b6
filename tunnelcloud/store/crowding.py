"""What one user may take of what is kept: of more, their own oldest goes, and nobody else's.

A user whose client opens channels all day long writes more than all others together; without a
share of their own they would push the others' history out of a size that is bounded.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Table, delete, func, select

from tunnelcloud.domain.events import CATALOGUE
from tunnelcloud.store import audit, preferences
from tunnelcloud.store.schema import audit as events
from tunnelcloud.store.schema import channels, sessions
from tunnelcloud.store.transaction import Transaction

MOST_CHANNELS = 250_000
MOST_SESSIONS = 50_000
"""So many past ones of one user are kept, whatever their age."""

PART_OF_AUDIT = 8
"""One user's use may take such a part of the audit's size."""

_OFTEN = ("channel.", "login.", "session.", "web_login.")
ROUTINE = tuple(sorted(name for name in CATALOGUE if name.startswith(_OFTEN)))
"""Events of the use of tunnels, as often as a client likes; none of a change."""

_MIB = 1 << 20

Forget = Callable[[Transaction, int], int]
"""Deletes so many rows at most, and says how many there were."""


def crowding(transaction: Transaction) -> list[Forget]:
    """Find what is beyond a user's share, and give what deletes it."""
    found = [
        *_beyond(transaction, channels, channels.c.closed_at.is_not(None), MOST_CHANNELS),
        *_beyond(transaction, sessions, sessions.c.ended_at.is_not(None), MOST_SESSIONS),
    ]
    most = preferences.settings(transaction).audit_max_mib
    if most is not None and audit.first_that_fits(transaction, most * _MIB) is not None:
        share = audit.fitting(transaction, most * _MIB // PART_OF_AUDIT)
        found += _beyond(transaction, events, events.c.event.in_(ROUTINE), share)
    return found


def _beyond(
    transaction: Transaction, table: Table, which: ColumnElement[bool], most: int
) -> list[Forget]:
    run, own = transaction.connection.execute, table.c
    crowds = run(
        select(own.user_id)
        .where(own.user_id.is_not(None), which)
        .group_by(own.user_id)
        .having(func.count() > most)
    )
    found = []
    for user_id in crowds.scalars().all():
        theirs = own.user_id == user_id
        last = select(own.id).where(theirs, which).order_by(own.id.desc()).offset(most).limit(1)
        found.append(_forgetting(table, theirs & which & (own.id <= run(last).scalar_one())))
    return found


def _forgetting(table: Table, which: ColumnElement[bool]) -> Forget:
    def forget(transaction: Transaction, limit: int) -> int:
        run = transaction.connection.execute
        oldest = select(table.c.id).where(which).order_by(table.c.id).limit(limit)
        ids = run(oldest).scalars().all()
        if table is sessions:
            run(delete(channels).where(channels.c.session_id.in_(ids)))
        return run(delete(table).where(table.c.id.in_(ids))).rowcount

    return forget

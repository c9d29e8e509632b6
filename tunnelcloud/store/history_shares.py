"""Limits one user's share of the history: beyond it, that user's oldest rows are deleted first.

A user whose client opens channels all day long writes more than all others together; without a
share they would push the others' history out of the bounded size.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import frozen
from sqlalchemy import ColumnElement, Table, delete, func, select, true

from tunnelcloud.domain.events import CATALOGUE, AuditEvent
from tunnelcloud.store import audit, preferences
from tunnelcloud.store.column_types import first_id, plain
from tunnelcloud.store.schema import audit as events
from tunnelcloud.store.schema import channels, sessions, users
from tunnelcloud.store.transaction import Transaction

MOST_CHANNELS = 250_000
MOST_SESSIONS = 50_000
"""How many past ones of one user are kept, whatever their age."""

YOUNG = timedelta(days=7)
MOST_YOUNG = 4
"""Those that began within this time are kept too, up to a multiple of the number."""

PART_OF_AUDIT = 8
"""One user's use may take such a part of the audit's size; so may all that nobody proved, and what
connectors cause by coming and going."""

UNPROVEN = (
    "connector.join_refused",
    "connector.renewal_refused",
    "login.refused",
    "web_login.refused",
)
"""Events of strangers: the user in them is only named, and isn't responsible for them."""

LINKS = ("connector.attached", "connector.cloned", "connector.detached")
"""Events that connectors cause by coming and going; all of them share one share."""

_OFTEN = ("channel.", "login.", "session.", "user.proof_refused", "web_login.")
ROUTINE = tuple(
    sorted(name for name in CATALOGUE if name.startswith(_OFTEN) and name not in UNPROVEN)
)
"""Events of the use of tunnels, of which a client can cause any number; none of changes."""

_MIB = 1 << 20
_TENTH = 10
_PAUSE = timedelta(minutes=4)
"""Shorter than the time after which the same pod comes again."""

_USER_BEYOND = "one user's took more than their share"
_UNPROVEN_BEYOND = "refusals took more than their share"
_LINKS_BEYOND = "connectors that came and went took more than their share"
_ALL_BEYOND = "all together took more than they may"

Forget = Callable[[Transaction, int], int]
"""Deletes at most a number of rows, and returns how many it deleted."""


@frozen
class Leaving:
    """Events that are to go since all take more than they may: the oldest of some.

    :ivar count: how many there are now.
    :ivar until: when the last of them was.
    :ivar reason: why these, for people.
    :ivar forget: deletes them.
    :ivar user_id: whose they are; None for more than one user's.
    """

    count: int
    until: datetime
    reason: str
    forget: Forget
    user_id: str | None = None

    def record(self, transaction: Transaction) -> None:
        """Write down that they go; before they do, so that none is missing without a word."""
        data = {"events": self.count, "until": plain(self.until), "reason": self.reason}
        name = select(users.c.name).where(users.c.id == self.user_id)
        transaction.audit(
            AuditEvent(
                "audit.forgotten",
                user_id=self.user_id,
                user_name=transaction.connection.execute(name).scalar(),
                data=data,
            )
        )


def count_beyond(transaction: Transaction) -> int:
    """Estimate how many events are to go now, since all take more than they may.

    A tenth of all at most, so that an estimate that is wrong, or a flood, doesn't take all history
    before anybody sees it; and none shortly after another pod had some go.
    """
    most = preferences.settings(transaction).audit_max_mib
    if most is None or _went_lately(transaction):
        return 0
    measured = audit.measure(transaction)
    beyond = measured.count - measured.fitting(most * _MIB)
    return max(0, min(beyond, max(1, measured.count // _TENTH)))


def _went_lately(transaction: Transaction) -> bool:
    query = select(events.c.at).where(events.c.event == "audit.forgotten")
    at = transaction.connection.execute(query.order_by(events.c.id.desc()).limit(1)).scalar()
    return at is not None and timedelta(0) <= transaction.now() - at < _PAUSE


def leaving_for_share(transaction: Transaction, count: int) -> list[Leaving]:
    """Find events beyond their user's share, of whatever age.

    :param count: how many at most, all together.
    """
    most = preferences.settings(transaction).audit_max_mib
    if most is None or not count:
        return []
    share = audit.measure(transaction).fitting(most * _MIB // PART_OF_AUDIT)
    crowds: list[tuple[ColumnElement[bool], str, str | None]] = [
        (events.c.event.in_(UNPROVEN), _UNPROVEN_BEYOND, None),
        (events.c.event.in_(LINKS), _LINKS_BEYOND, None),
    ]
    users_crowds = _crowds(transaction, events, events.c.event.in_(ROUTINE), share)
    crowds += [(which, _USER_BEYOND, user_id) for user_id, which in users_crowds.items()]
    found = []
    for which, reason, user_id in crowds:
        own = transaction.connection.execute(select(func.count()).where(which)).scalar_one()
        going = min(count, own - share)
        found += _leaving(transaction, which, going, reason, user_id)
        count -= max(0, going)
    return found


def leaving_for_size(transaction: Transaction, count: int) -> list[Leaving]:
    """Find a number of the oldest events."""
    return _leaving(transaction, true(), count, _ALL_BEYOND)


def _leaving(
    transaction: Transaction,
    which: ColumnElement[bool],
    count: int,
    reason: str,
    user_id: str | None = None,
) -> list[Leaving]:
    if count <= 0:
        return []
    query = select(events.c.id, events.c.at).where(which).order_by(events.c.id)
    last, until = transaction.connection.execute(query.offset(count - 1).limit(1)).one()
    forget = _forgetting(events, which & (events.c.id <= last))
    return [Leaving(count, until, reason, forget, user_id)]


def crowding(transaction: Transaction) -> list[Forget]:
    """Find past channels and sessions beyond a user's share, and give what deletes them."""
    return [
        *_past(transaction, channels, "channel", channels.c.closed_at.is_not(None), MOST_CHANNELS),
        *_past(transaction, sessions, "session", sessions.c.ended_at.is_not(None), MOST_SESSIONS),
    ]


def _past(
    transaction: Transaction, table: Table, kind: str, which: ColumnElement[bool], most: int
) -> list[Forget]:
    young = first_id(kind, transaction.now() - YOUNG)
    found = []
    for theirs in _crowds(transaction, table, which, most).values():
        last = min(_last_beyond(transaction, table, theirs, most) or "", young)
        hardest = _last_beyond(transaction, table, theirs, most * MOST_YOUNG) or ""
        found.append(_forgetting(table, theirs & (table.c.id <= max(last, hardest))))
    return found


def _crowds(
    transaction: Transaction, table: Table, which: ColumnElement[bool], most: int
) -> dict[str, ColumnElement[bool]]:
    """Find the users with more rows of a kind than that, and give what selects theirs."""
    query = (
        select(table.c.user_id)
        .where(table.c.user_id.is_not(None), which)
        .group_by(table.c.user_id)
        .having(func.count() > most)
    )
    found = transaction.connection.execute(query).scalars().all()
    return {user_id: (table.c.user_id == user_id) & which for user_id in found}


def _last_beyond(
    transaction: Transaction, table: Table, which: ColumnElement[bool], most: int
) -> str | None:
    """Find the last row before a number of the latest; None if there are no more than these."""
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

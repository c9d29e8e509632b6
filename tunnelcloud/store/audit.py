"""The audit: events are added, searched, and forgotten when their time is over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, or_, select, union_all

from tunnelcloud.domain.events import CATALOGUE, AuditEvent, AuditRecord, KeptEvent
from tunnelcloud.store.column_types import first_id
from tunnelcloud.store.filters import Filter, contains, equals
from tunnelcloud.store.paging import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_SEARCHED,
    ListPage,
    fetch_part,
    first_rows,
    join_parts,
    part_of,
    read_cursor,
)
from tunnelcloud.store.schema import audit as table
from tunnelcloud.store.transaction import Transaction

_COLUMNS = [table.c.id, table.c.at, *(table.c[one.name] for one in attrs.fields(AuditEvent))]

_MOST_WORDS = 8
"""Words of a search that are looked for each by itself; the last one has the rest."""

_LATEST = first_rows(select(*_COLUMNS).order_by(table.c.id.desc()))
_LONGEST_STEP_BACK = timedelta(hours=25)
"""Events of the time after a clock went back so far are still found by their own time."""

_LAST_ADDED_TO = datetime.max.replace(tzinfo=UTC) - _LONGEST_STEP_BACK
"""The last moment to which such a step can be added."""


def _since(moment: datetime) -> ColumnElement[bool]:
    # In the order in which they were recorded, so that a follower misses none.
    return table.c.id >= first_id("event", moment)


def _until(moment: datetime) -> ColumnElement[bool]:
    beyond = min(moment, _LAST_ADDED_TO) + _LONGEST_STEP_BACK
    return and_(table.c.at < moment, table.c.id < first_id("event", beyond))


FILTERS: dict[str, Filter] = {
    "actor": equals(table.c.actor),
    "user_id": equals(table.c.user_id),
    "user_name": equals(table.c.user_name),
    "tunnel_id": equals(table.c.tunnel_id),
    "tunnel_name": equals(table.c.tunnel_name),
    "session_id": equals(table.c.session_id),
    "source_ip": equals(table.c.source_ip),
    "pod_id": equals(table.c.pod_id),
    "since": _since,
    "until": _until,
}


def list_page(
    transaction: Transaction,
    *,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
    sort: str = "-created_at",
    event: str | None = None,
    q: str | None = None,
    **filters: object,
) -> ListPage[AuditRecord]:
    """Search the events, the latest first.

    A page may have less than ``limit`` events, even none, and a next one nevertheless: a text is
    looked for among ``MAX_SEARCHED`` events at once.

    :param event: one kind, or with ``login.`` all that begin so.
    :param q: words, each of which the event, a name or the data has.
    :param filters: keys of ``FILTERS``; one whose value is None doesn't narrow.
    :raise BadCursor: the cursor is not from this list.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    descending = sort.startswith("-")
    after = None if cursor is None else read_cursor(cursor, sort, 1)[0]
    if after is None and descending and all(one is None for one in [event, q, *filters.values()]):
        latest = part_of(_LATEST(transaction.connection, {"most": limit + 1}), limit)
        return join_parts([latest], _make, sort=sort, descending=True, limit=limit)
    query = _filtered(select(*_COLUMNS), filters)
    # One query for each kind, by its index: a rare kind costs no more than a common one.
    kinds = [query] if event is None else [query.where(one) for one in _events(event)]
    parts = (
        fetch_part(
            transaction,
            one,
            table.c.id,
            after=after,
            descending=descending,
            limit=limit,
            sought=None if q is None else _holds(q),
            at_most=MAX_SEARCHED // len(kinds),
        )
        for one in kinds
    )
    return join_parts(parts, _make, sort=sort, descending=descending, limit=limit)


def _events(name: str) -> list[ColumnElement[bool]]:
    if not name.endswith("."):
        return [table.c.event == name]
    return [table.c.event == kind for kind in CATALOGUE if kind.startswith(name)]


def _holds(text: str) -> ColumnElement[bool]:
    """Look for each word by itself, wherever it is: who looks for “bob approved” knows no order."""
    searched = (
        table.c.event, table.c.actor, table.c.user_name, table.c.tunnel_name, table.c.data
    )  # fmt: skip
    words = text.split(maxsplit=_MOST_WORDS - 1) or [text]
    return and_(*(contains(word, *searched) for word in words))


def latest_about(
    transaction: Transaction, events: Collection[str], ids: Collection[str], *, limit: int
) -> list[AuditRecord]:
    """Give the latest events whose data has one of some ids, the last one first, in one statement.

    No index has what is in the data: ``MAX_SEARCHED`` events are looked through at most, of each
    kind as many, so that a frequent kind hides no rare one.

    :param events: the kinds of events that may have the ids.
    """
    looked_at = MAX_SEARCHED // len(events)
    parts = [
        select(*_COLUMNS).where(table.c.event == one).order_by(table.c.id.desc()).limit(looked_at)
        for one in events
    ]
    found = union_all(*(select(part.subquery()) for part in parts)).subquery()
    query = select(found).where(or_(*(contains(one, found.c.data) for one in ids)))
    rows = transaction.connection.execute(query.order_by(found.c.id.desc()).limit(limit))
    return [_make(row) for row in rows]


def forget(transaction: Transaction, until: datetime, *, limit: int = 500) -> int:
    """Delete the oldest events before a time.

    :param limit: how many at most, since a long transaction would hold up the others.
    :return: how many there were; fewer than ``limit`` means that all are gone.
    """
    return _forget(transaction, table.c.id < first_id("event", until), limit)


_WINDOWS = 20
_WINDOW = 50
_ROW_OVERHEAD = 400
"""The bytes of an event besides its texts: ids, the time, and its place in the table's indexes."""


@attrs.frozen
class Measured:
    """How many events there are, and what those take that were looked at.

    :ivar count: of all.
    :ivar looked_at: how many of them.
    :ivar taken: bytes of those.
    """

    count: int
    looked_at: int
    taken: int

    def fitting(self, most_bytes: int) -> int:
        """Estimate how many events fit into a number of bytes."""
        return max(1, most_bytes * self.looked_at // max(self.taken, 1))


def measure(transaction: Transaction) -> Measured:
    """Count the events, and look at some from all over the table.

    Neither database tells quickly what its rows take, and PostgreSQL's files don't shrink.  The
    samples are the same number of events apart, however much time is between them: many long events
    written at once count as much as their part of the table.
    """
    run = transaction.connection.execute
    count = run(select(func.count()).select_from(table)).scalar_one()
    apart = max(count // _WINDOWS, _WINDOW)
    looked_at, taken, last, skipped = 0, 0, "", 0
    for _ in range(_WINDOWS):
        rows = _window(transaction, last, skipped)
        if not rows:
            break
        looked_at, taken = looked_at + len(rows), taken + sum(map(_bytes_of, rows))
        last, skipped = rows[-1][0], apart - _WINDOW
    return Measured(count, looked_at, taken)


def _window(transaction: Transaction, last: str, skipped: int) -> list[Row[Any]]:
    """Read some events at a distance from one; an index alone counts those that are skipped."""
    run = transaction.connection.execute
    found = run(
        select(table.c.id).where(table.c.id > last).order_by(table.c.id).offset(skipped).limit(1)
    ).scalar()
    if found is None:
        return []
    query = select(*_COLUMNS).where(table.c.id >= found).order_by(table.c.id).limit(_WINDOW)
    return list(run(query).all())


def _bytes_of(row: Row[Any]) -> int:
    return _ROW_OVERHEAD + sum(len(str(value).encode("utf-8", "replace")) for value in row)


def _forget(transaction: Transaction, which: ColumnElement[bool], limit: int) -> int:
    oldest = select(table.c.id).where(which).order_by(table.c.id).limit(limit)
    return transaction.connection.execute(delete(table).where(table.c.id.in_(oldest))).rowcount


def _filtered(query: Select[Any], filters: Mapping[str, object]) -> Select[Any]:
    for name, value in filters.items():
        if value is not None:
            query = query.where(FILTERS[name](value))
    return query


def _make(row: Any) -> AuditRecord:
    return AuditRecord(row[0], row[1], KeptEvent(*row[2:]))

"""The audit: events are added, searched, and forgotten when their time is over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs
from sqlalchemy import ColumnElement, Select, delete, func, select

from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.store.aggregate import equals
from tunnelcloud.store.columns import first_id
from tunnelcloud.store.paging import DEFAULT_LIMIT, Filter, Page, contains, fetch_page
from tunnelcloud.store.schema import audit as table
from tunnelcloud.store.transaction import Transaction

_COLUMNS = [table.c.id, table.c.at, *(table.c[one.name] for one in attrs.fields(AuditEvent))]


def _event(name: str) -> ColumnElement[bool]:
    """Match one event, or with C{login.} all that begin so."""
    return table.c.event.startswith(name) if name.endswith(".") else table.c.event == name


def _since(moment: datetime) -> ColumnElement[bool]:
    return table.c.id >= first_id("event", moment)


def _until(moment: datetime) -> ColumnElement[bool]:
    return table.c.id < first_id("event", moment)


FILTERS: dict[str, Filter] = {
    "event": _event,
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
    "q": lambda text: contains(
        text, table.c.event, table.c.actor, table.c.user_name, table.c.tunnel_name, table.c.data
    ),
}


def record(transaction: Transaction, event: AuditEvent) -> AuditRecord:
    """Write an event down."""
    return transaction.audit(event)


def list_page(
    transaction: Transaction,
    *,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
    sort: str = "-created_at",
    **filters: object,
) -> Page[AuditRecord]:
    """Search the events, the latest first.

    :param filters: keys of L{FILTERS}; one whose value is None doesn't narrow.
    :raise BadCursor: the cursor is not from this list.
    """
    return fetch_page(
        transaction,
        _filtered(select(*_COLUMNS), filters),
        _make,
        identity=table.c.id,
        column=table.c.id,
        sort=sort,
        limit=limit,
        cursor=cursor,
    )


def count(transaction: Transaction, **filters: object) -> int:
    """Count the events that L{list_page} would list on all pages."""
    query = _filtered(select(func.count()).select_from(table), filters)
    return int(transaction.connection.execute(query).scalar_one())


def forget(transaction: Transaction, until: datetime, *, limit: int = 500) -> int:
    """Delete the oldest events before a time.

    :param limit: how many at most, since a long transaction would hold up the others.
    :return: how many there were; fewer than C{limit} means that all are gone.
    """
    oldest = select(table.c.id).where(_until(until)).order_by(table.c.id).limit(limit)
    return transaction.connection.execute(delete(table).where(table.c.id.in_(oldest))).rowcount


def _filtered(query: Select[Any], filters: Mapping[str, object]) -> Select[Any]:
    for name, value in filters.items():
        if value is not None:
            query = query.where(FILTERS[name](value))
    return query


def _make(row: Any) -> AuditRecord:
    return AuditRecord(row[0], row[1], AuditEvent(*row[2:]))

"""What went on hour by hour, counted by the database.

Ids sort by the time they were made, so that a day's rows are a range of the primary key.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from attrs import frozen
from sqlalchemy import BigInteger, ColumnElement, Table, func, or_, select, type_coerce

from tunnelcloud.store import schema
from tunnelcloud.store.columns import first_id, to_milliseconds
from tunnelcloud.store.transaction import Transaction

_HOUR = 3_600_000
REFUSED_LOGINS = ("login.refused", "web_login.refused")


@frozen
class Hours:
    """The hours up to now, the oldest first; the last one isn't over.

    :ivar begin: of the first hour.
    :ivar sessions: open at some time in each.
    :ivar channels: the same.
    :ivar traffic: bytes in both directions, a channel's spread evenly over the time it was open.
    :ivar refused: logins refused in each.
    """

    begin: datetime
    sessions: tuple[int, ...]
    channels: tuple[int, ...]
    traffic: tuple[int, ...]
    refused: tuple[int, ...]


def last_hours(transaction: Transaction, count: int = 24) -> Hours:
    """Count what went on in the last hours.

    What began before them and ended in them is left out: looking for it would mean reading all
    there ever was.
    """
    begin = transaction.now() - timedelta(hours=count)
    return Hours(
        begin,
        _open(transaction, schema.sessions, "started_at", "ended_at", begin, count),
        _open(transaction, schema.channels, "opened_at", "closed_at", begin, count),
        _traffic(transaction, begin, count),
        _refused(transaction, begin, count),
    )


def _hour(column: ColumnElement[Any], begin: datetime) -> ColumnElement[int]:
    """Number the hour that a time is in; what was before the first one is in it."""
    passed = type_coerce(column, BigInteger) - to_milliseconds(begin)
    return passed // _HOUR


def _spans(
    transaction: Transaction,
    table: Table,
    kind: str,
    names: tuple[str, str],
    begin: datetime,
    total: ColumnElement[Any],
    count: int,
) -> list[tuple[int, int, int]]:
    """Give what began in an hour and ended in another: both, and how much there was of it."""
    start, end = table.c[names[0]], table.c[names[1]]
    first = first_id(kind, begin)
    hours = _hour(start, begin), _hour(end, begin)
    query = select(*hours, total).where(or_(table.c.id >= first, end.is_(None))).group_by(*hours)
    return [
        (max(0, begun), count - 1 if ended is None else min(ended, count - 1), int(amount))
        for begun, ended, amount in transaction.connection.execute(query)
    ]


def _open(
    transaction: Transaction, table: Table, start: str, end: str, begin: datetime, count: int
) -> tuple[int, ...]:
    found = [0] * count
    kind = table.name.removesuffix("s")
    names = start, end
    for begun, ended, amount in _spans(transaction, table, kind, names, begin, func.count(), count):
        for hour in range(begun, ended + 1):
            found[hour] += amount
    return tuple(found)


def _traffic(transaction: Transaction, begin: datetime, count: int) -> tuple[int, ...]:
    found = [0.0] * count
    one = schema.channels
    total = func.sum(one.c.bytes_to_target + one.c.bytes_from_target)
    for begun, ended, amount in _spans(
        transaction, one, "channel", ("opened_at", "closed_at"), begin, total, count
    ):
        hours = range(begun, ended + 1)
        for hour in hours:
            found[hour] += amount / len(hours)
    return tuple(round(amount) for amount in found)


def _refused(transaction: Transaction, begin: datetime, count: int) -> tuple[int, ...]:
    found = [0] * count
    one = schema.audit
    hour = _hour(one.c.at, begin)
    first = first_id("event", begin)
    query = (
        select(hour, func.count())
        .where(one.c.event.in_(REFUSED_LOGINS), one.c.id >= first)
        .group_by(hour)
    )
    for number, amount in transaction.connection.execute(query):
        found[min(max(number, 0), count - 1)] += amount
    return tuple(found)

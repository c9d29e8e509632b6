"""Activity by the hour, or by other slots of time, counted by the database.

Ids sort by the time they were made, so that a day's rows are a range of the primary key.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from attrs import frozen
from sqlalchemy import BigInteger, ColumnElement, Table, func, or_, select, type_coerce

from tunnelcloud.store import schema
from tunnelcloud.store.column_types import first_id, to_milliseconds
from tunnelcloud.store.transaction import Transaction

HOUR = 3600
REFUSED_LOGINS = ("login.refused", "web_login.refused")


@frozen
class Slots:
    """Slots of time up to now, the oldest first; the last one isn't over.

    :ivar begin: of the first slot.
    :ivar seconds: the length of each.
    :ivar sessions: open at some time in each.
    :ivar channels: the same.
    :ivar traffic: bytes in both directions, a channel's spread evenly over the time it was open.
    :ivar refused: logins refused in each.
    """

    begin: datetime
    seconds: int
    sessions: tuple[int, ...]
    channels: tuple[int, ...]
    traffic: tuple[int, ...]
    refused: tuple[int, ...]


@frozen
class _Range:
    """The slots that are counted in."""

    begin: datetime
    count: int
    seconds: int

    def slot(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """Number the slot that a time is in; what was before the first one is in it."""
        passed = type_coerce(column, BigInteger) - to_milliseconds(self.begin)
        return passed // (1000 * self.seconds)


def last_slots(transaction: Transaction, count: int = 24, seconds: int = HOUR) -> Slots:
    """Count what went on in the last slots.

    What began before them and ended in them is left out: looking for it would mean reading all
    there ever was.
    """
    begin = transaction.now() - timedelta(seconds=count * seconds)
    wanted = _Range(begin, count, seconds)
    return Slots(
        begin,
        seconds,
        _open(transaction, schema.sessions, "started_at", "ended_at", wanted),
        _open(transaction, schema.channels, "opened_at", "closed_at", wanted),
        _traffic(transaction, wanted),
        _refused(transaction, wanted),
    )


def _spans(
    transaction: Transaction,
    table: Table,
    kind: str,
    names: tuple[str, str],
    wanted: _Range,
    total: ColumnElement[Any],
) -> list[tuple[int, int, int]]:
    """Return the total of rows for each slot in which they began and slot in which they ended."""
    start, end = table.c[names[0]], table.c[names[1]]
    first, last = first_id(kind, wanted.begin), wanted.count - 1
    slots = wanted.slot(start), wanted.slot(end)
    query = select(*slots, total).where(or_(table.c.id >= first, end.is_(None))).group_by(*slots)
    return [
        (max(0, begun), last if ended is None else min(ended, last), int(amount))
        for begun, ended, amount in transaction.connection.execute(query)
    ]


def _open(
    transaction: Transaction, table: Table, start: str, end: str, wanted: _Range
) -> tuple[int, ...]:
    found = [0] * wanted.count
    kind = table.name.removesuffix("s")
    for begun, ended, amount in _spans(
        transaction, table, kind, (start, end), wanted, func.count()
    ):
        for slot in range(begun, ended + 1):
            found[slot] += amount
    return tuple(found)


def _traffic(transaction: Transaction, wanted: _Range) -> tuple[int, ...]:
    found = [0.0] * wanted.count
    one = schema.channels
    total = func.sum(one.c.bytes_to_target + one.c.bytes_from_target)
    names = ("opened_at", "closed_at")
    for begun, ended, amount in _spans(transaction, one, "channel", names, wanted, total):
        slots = range(begun, ended + 1)
        for slot in slots:
            found[slot] += amount / len(slots)
    return tuple(round(amount) for amount in found)


def _refused(transaction: Transaction, wanted: _Range) -> tuple[int, ...]:
    found = [0] * wanted.count
    one = schema.audit
    slot = wanted.slot(one.c.at)
    first = first_id("event", wanted.begin)
    query = (
        select(slot, func.count())
        .where(one.c.event.in_(REFUSED_LOGINS), one.c.id >= first)
        .group_by(slot)
    )
    for number, amount in transaction.connection.execute(query):
        found[min(max(number, 0), wanted.count - 1)] += amount
    return tuple(found)

"""Lists in pages: a cursor says after which row the next page begins.

A page costs the same wherever it is, and rows that come or go in between shift nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import Any, Generic, TypeVar

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    literal,
    literal_column,
    or_,
    type_coerce,
)

from tunnelcloud.net.foreign_json import read_foreign_json
from tunnelcloud.store.column_types import Timestamp
from tunnelcloud.store.errors import BadCursor
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.transaction import Transaction

E_co = TypeVar("E_co", covariant=True)
E = TypeVar("E")

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_SEARCHED = 20_000
"""How many rows of a history are searched for a text at once, which takes about 25 ms."""


@frozen
class ListPage(Generic[E_co]):
    """Some items of a list, in order; ``next_cursor`` is None on the last page."""

    items: tuple[E_co, ...]
    next_cursor: str | None = None


def fetch_page(
    transaction: Transaction,
    query: Select[Any],
    make: Callable[[Any], E],
    *,
    identity: ColumnElement[str],
    column: ColumnElement[Any],
    sort: str,
    limit: int,
    cursor: str | None,
    kept: MutableMapping[str, Prepared] | None = None,
) -> ListPage[E]:
    """Run a query for one page.

    :param query: what to list, filtered; without an order.
    :param make: makes an item of a row.
    :param identity: unique, and decides between rows that are equal by ``column``.
    :param column: what to sort by; its values are text or whole numbers (or times).
    :param sort: the name of this order, ``-`` in front for descending; cursors remember it.
    :param kept: the statements of first pages by their order, of a query that is always the same:
        putting one together takes as long as running it.
    :raise BadCursor: the cursor isn't one of this order's.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    descending = sort.startswith("-")
    raw = _raw(column)
    key = [identity] if column is identity else [raw, identity]
    if kept is not None and cursor is None:
        if sort not in kept:
            kept[sort] = first_rows(_in_order(query, key, descending))
        rows = kept[sort](transaction.connection, {"most": limit + 1})
    else:
        if cursor is not None:
            query = query.where(_beyond(key, read_cursor(cursor, sort, len(key)), descending))
        query = _in_order(query, key, descending).limit(limit + 1)
        rows = list(transaction.connection.execute(query).all())
    items = tuple(make(row[: -len(key)]) for row in rows[:limit])
    if len(rows) <= limit:
        return ListPage(items)
    return ListPage(items, write_cursor(sort, list(rows[limit - 1][-len(key) :])))


def first_rows(query: Select[Any]) -> Prepared:
    """Make the statement that gives the first rows of a query, as many as ``most`` says."""
    # SQLAlchemy gives SQLite an offset in any case: as a parameter, unless it is spelt out.
    query = query.offset(literal_column("0", Integer))
    return Prepared(query.limit(bindparam("most", type_=Integer)))


def _in_order(query: Select[Any], key: list[ColumnElement[Any]], descending: bool) -> Select[Any]:
    """Sort a query by a key, and have it give the key behind all else."""
    query = query.add_columns(*(part.label(f"key_{index}") for index, part in enumerate(key)))
    return query.order_by(*(part.desc() if descending else part.asc() for part in key))


@frozen
class Part:
    """Some rows of one way to look through a list that is ordered by its ids.

    :ivar edge: the id up to which (included) these are all there are; None for up to the end.
    """

    rows: tuple[Any, ...]
    edge: str | None


def fetch_part(
    transaction: Transaction,
    query: Select[Any],
    identity: ColumnElement[str],
    *,
    after: str | None,
    descending: bool,
    limit: int,
    sought: ColumnElement[bool] | None = None,
    at_most: int = 0,
) -> Part:
    """Run a query for the rows that come after an id.

    :param query: what to list, filtered by what an index finds; ``identity`` is its first column.
    :param sought: what no index finds; only ``at_most`` rows are looked through for it.
    """
    order = identity.desc() if descending else identity.asc()
    if after is not None:
        query = query.where(identity < after if descending else identity > after)
    query = query.order_by(order)
    last = None
    if sought is not None:
        reach = query.with_only_columns(identity).offset(at_most).limit(1)
        last = transaction.connection.execute(reach).scalar()
        if last is not None:
            query = query.where(identity >= last if descending else identity <= last)
        query = query.where(sought)
    return part_of(transaction.connection.execute(query.limit(limit + 1)).all(), limit, last)


def part_of(rows: Sequence[Any], limit: int, edge: str | None = None) -> Part:
    """Make a part of rows of which one more was asked for than the part may have.

    :param edge: as the part has it, where it has all of the rows.
    """
    if len(rows) > limit:
        return Part(tuple(rows[:limit]), rows[limit - 1][0])
    return Part(tuple(rows), edge)


def join_parts(
    parts: Iterable[Part], make: Callable[[Any], E], *, sort: str, descending: bool, limit: int
) -> ListPage[E]:
    """Make one page of parts that list different rows: as far as all of them are complete."""
    found = list(parts)
    edges = [part.edge for part in found if part.edge is not None]
    edge = None if not edges else max(edges) if descending else min(edges)
    rows = sorted((row for part in found for row in part.rows), key=_id_of, reverse=descending)
    if edge is not None:
        rows = [row for row in rows if (row[0] >= edge if descending else row[0] <= edge)]
    if len(rows) > limit:
        rows = rows[:limit]
        edge = rows[-1][0]
    cursor = None if edge is None else write_cursor(sort, [edge])
    return ListPage(tuple(make(row) for row in rows), cursor)


def _id_of(row: Any) -> str:
    return str(row[0])


def _raw(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Give a column as the database has it: a cursor's values are compared with that."""
    return type_coerce(column, BigInteger if isinstance(column.type, Timestamp) else column.type)


def _beyond(
    key: list[ColumnElement[Any]], values: list[Any], descending: bool
) -> ColumnElement[bool]:
    bound = [literal(value, part.type) for part, value in zip(key, values, strict=True)]
    # Spelt out rather than as a row value, so that both databases use the index.
    first = key[0] < bound[0] if descending else key[0] > bound[0]
    if len(key) == 1:
        return first
    second = key[1] < bound[1] if descending else key[1] > bound[1]
    at_least = key[0] <= bound[0] if descending else key[0] >= bound[0]
    return and_(at_least, or_(first, second))


def write_cursor(sort: str, values: list[Any]) -> str:
    """Make a cursor: the order it is of, and the key of the row it comes after."""
    encoded = json.dumps([sort, *values], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(encoded.encode("utf-8")).decode("ascii").rstrip("=")


def read_cursor(cursor: str, sort: str, length: int) -> list[Any]:
    """Read the key in a cursor.

    :raise BadCursor: it isn't one of this order's.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = read_foreign_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError:
        raise BadCursor from None
    if not isinstance(found, list) or len(found) != length + 1 or found[0] != sort:
        raise BadCursor
    values = found[1:]
    if not isinstance(values[-1], str) or not all(_comparable(value) for value in values):
        raise BadCursor
    return values


def _comparable(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" not in value
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63

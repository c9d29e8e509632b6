"""Lists in pages: a cursor says after which row the next page begins.

A page costs the same wherever it is, and rows that come or go in between shift nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Select,
    Text,
    and_,
    literal,
    or_,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from tunnelcloud.store.columns import Timestamp
from tunnelcloud.store.errors import BadCursor
from tunnelcloud.store.transaction import Transaction

E_co = TypeVar("E_co", covariant=True)
E = TypeVar("E")

Filter = Callable[[Any], ColumnElement[bool]]
"""Makes a condition of a filter's value."""

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000


@frozen
class Page(Generic[E_co]):
    """Some items of a list, in order; C{next_cursor} is None on the last page."""

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
) -> Page[E]:
    """Run a query for one page.

    :param query: what to list, filtered; without an order.
    :param make: makes an item of a row.
    :param identity: unique, and decides between rows that are equal by C{column}.
    :param column: what to sort by; its values are text or whole numbers (or times).
    :param sort: the name of this order, C{-} in front for descending; cursors remember it.
    :raise BadCursor: the cursor isn't one of this order's.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    descending = sort.startswith("-")
    raw = _raw(column)
    key = [identity] if column is identity else [raw, identity]
    if cursor is not None:
        query = query.where(_beyond(key, _read_cursor(cursor, sort, len(key)), descending))
    query = query.add_columns(*(part.label(f"key_{index}") for index, part in enumerate(key)))
    query = query.order_by(*(part.desc() if descending else part.asc() for part in key))
    rows = transaction.connection.execute(query.limit(limit + 1)).all()
    items = tuple(make(row[: -len(key)]) for row in rows[:limit])
    if len(rows) <= limit:
        return Page(items)
    return Page(items, _write_cursor(sort, list(rows[limit - 1][-len(key) :])))


class _AnyCase(FunctionElement[bool]):
    """C{column LIKE pattern}, whatever the case.

    Not C{lower(column) LIKE}: that takes SQLite four times as long, whose LIKE ignores case anyway.
    """

    name = "any_case"
    type = Boolean()
    inherit_cache = True


@compiles(_AnyCase)
def _like(element: _AnyCase, compiler: SQLCompiler, **options: Any) -> str:
    column, pattern = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} LIKE {pattern} ESCAPE '/'"


@compiles(_AnyCase, "postgresql")
def _ilike(element: _AnyCase, compiler: SQLCompiler, **options: Any) -> str:
    column, pattern = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} ILIKE {pattern} ESCAPE '/'"


def contains(text: str, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
    """Match rows in one of whose columns a text occurs, in any case of the letters A to Z."""
    literally = text.replace("/", "//").replace("%", "/%").replace("_", "/_")
    pattern = literal(f"%{literally}%", Text)
    return or_(*(_AnyCase(type_coerce(column, Text), pattern) for column in columns))


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


def _write_cursor(sort: str, values: list[Any]) -> str:
    encoded = json.dumps([sort, *values], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(encoded.encode("utf-8")).decode("ascii").rstrip("=")


def _read_cursor(cursor: str, sort: str, length: int) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
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

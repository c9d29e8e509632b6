"""What lists are ordered by besides their columns: text or whole numbers, never NULL.

These are computed for each object of a list, as a search looks at each; none looks through a
history.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Table,
    case,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from tunnelcloud.store import schema
from tunnelcloud.store.column_types import Ordered
from tunnelcloud.store.filters import as_referred

_ONE, _NONE = (literal_column(number, Integer) for number in ("1", "0"))
"""Spelt out: a statement that is put together once takes no value but the size of a page."""


class _Latest(FunctionElement[int]):
    """The greatest of several numbers."""

    name = "latest"
    type = BigInteger()
    inherit_cache = True


@compiles(_Latest)
def _max(element: _Latest, compiler: SQLCompiler, **options: Any) -> str:
    return f"max({', '.join(compiler.process(part, **options) for part in element.clauses)})"


@compiles(_Latest, "postgresql")
def _greatest(element: _Latest, compiler: SQLCompiler, **options: Any) -> str:
    return f"greatest({', '.join(compiler.process(part, **options) for part in element.clauses)})"


def text_of(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Order by a text as the database keeps it; by an empty one where there is none."""
    return func.coalesce(type_coerce(column, Ordered), literal_column("''", Ordered))


def time_of(column: ColumnElement[Any]) -> ColumnElement[int]:
    """Order by a time in milliseconds; by 0 where there is none."""
    number = type_coerce(column, BigInteger)
    return func.coalesce(number, literal_column("0", BigInteger), type_=BigInteger)


def number_of(rows: Select[Any]) -> ColumnElement[int]:
    """Order by how many rows of another table belong to an object."""
    return rows.with_only_columns(func.count(type_=Integer)).scalar_subquery()


def whether(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Order those that don't meet a condition before those that do."""
    return case((condition, _ONE), else_=_NONE)


def user_last_seen() -> ColumnElement[int]:
    """Order by when users last began an SSH session, or used the portal or the API.

    The latest session of a user is the last of an index, however many there are.
    """
    return _Latest(
        time_of(schema.users.c.last_seen_at),
        time_of(_latest(schema.sessions, "started_at")),
        time_of(_latest(schema.web_sessions, "last_seen_at")),
    )


def _latest(table: Table, name: str) -> ColumnElement[Any]:
    latest = select(table.c[name]).where(table.c.user_id == as_referred(schema.users.c.id))
    # SQLAlchemy gives SQLite an offset in any case.
    return latest.order_by(table.c.id.desc()).limit(_ONE).offset(_NONE).scalar_subquery()

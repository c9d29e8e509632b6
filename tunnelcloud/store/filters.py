"""The filters of lists: conditions made of a filter's value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select, Text, and_, literal, or_, select, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from tunnelcloud.store import schema
from tunnelcloud.store.column_types import first_id

Filter = Callable[[Any], ColumnElement[bool]]
"""Makes a condition of a filter's value."""


class _AnyCase(FunctionElement[bool]):
    """``column LIKE pattern``, whatever the case.

    Not ``lower(column) LIKE``: that takes SQLite four times as long, whose LIKE ignores case
    anyway.
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


class _AsReferred(FunctionElement[str]):
    """An id as the columns that refer to it are: those have the database's own collation.

    PostgreSQL uses no index on a column for a comparison by another collation.
    """

    name = "as_referred"
    type = Text()
    inherit_cache = True


@compiles(_AsReferred)
def _as_it_is(element: _AsReferred, compiler: SQLCompiler, **options: Any) -> str:
    [column] = (compiler.process(part, **options) for part in element.clauses)
    return column


@compiles(_AsReferred, "postgresql")
def _collated(element: _AsReferred, compiler: SQLCompiler, **options: Any) -> str:
    [column] = (compiler.process(part, **options) for part in element.clauses)
    return f'{column} COLLATE "default"'


def as_referred(identity: ColumnElement[str]) -> ColumnElement[str]:
    """Give the ids of a table's rows, for a comparison with a column that refers to them."""
    return _AsReferred(identity)


def groups_of(user_id: str) -> Select[tuple[str]]:
    """Select the ids of the groups that a user is in."""
    members = schema.group_members.c
    return select(members.group_id).where(members.user_id == user_id)


def equals(column: ColumnElement[Any]) -> Filter:
    """Make a filter that wants a column to have a value."""
    return lambda value: column == value


def searches(*columns: ColumnElement[str]) -> Filter:
    """Make a filter that wants a text to occur in one of some columns."""
    return lambda text: contains(text, *columns)


def has(rows: Select[Any]) -> Filter:
    """Make a filter that wants a correlated query to find a row, or none."""
    return lambda wanted: rows.exists() if wanted else ~rows.exists()


def since(column: ColumnElement[Any]) -> Filter:
    """Make a filter that wants a time at or after another."""
    return lambda moment: column >= moment


def before(column: ColumnElement[Any]) -> Filter:
    """Make a filter that wants a time before another."""
    return lambda moment: column < moment


def is_set(column: ColumnElement[Any]) -> Filter:
    """Make a filter that wants a column to be set, or not."""
    return lambda wanted: column.is_not(None) if wanted else column.is_(None)


def user_unused_since(since: datetime) -> ColumnElement[bool]:
    """Match users who neither began an SSH session nor used the portal or the API.

    Whoever is younger than that doesn't count: they had no time to use it.
    """
    user, login = schema.users.c, schema.sessions.c
    connected = select(login.id).where(
        login.user_id == user.id, login.id >= first_id("session", since)
    )
    seen_before = or_(user.last_seen_at.is_(None), user.last_seen_at < since)
    return and_(user.created_at < since, seen_before, ~connected.exists())


def tunnel_unused_since(since: datetime) -> ColumnElement[bool]:
    """Match tunnels of which nobody opened a channel."""
    tunnel, channel = schema.tunnels.c, schema.channels.c
    opened = select(channel.id).where(
        channel.tunnel_id == tunnel.id, channel.id >= first_id("channel", since)
    )
    return and_(tunnel.created_at < since, ~opened.exists())

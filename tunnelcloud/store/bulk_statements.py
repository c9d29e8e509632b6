"""Statements of one table that changing many objects runs time and again, put together once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from tunnelcloud.store.prepared_statements import Prepared


@cache
def _name_of(table: Table) -> Prepared:
    return Prepared(select(table.c.name).where(table.c.id == bindparam("wanted")))


@cache
def _other_with(table: Table, column: str) -> Prepared:
    same = table.c[column] == bindparam("wanted")
    return Prepared(select(table.c.id).where(same, table.c.id != bindparam("own")))


@cache
def _insert(table: Table, _columns: tuple[str, ...]) -> Prepared:
    return Prepared(insert(table))


@cache
def _update(table: Table, columns: tuple[str, ...]) -> Prepared:
    # A column's own name would stand for the value that SQLAlchemy gives it by itself.
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
    return Prepared(update(table).where(table.c.id == bindparam("wanted")).values(values))


@cache
def _exists(table: Table) -> Prepared:
    return Prepared(select(table.c.id).where(table.c.id == bindparam("wanted")))


def name_of(connection: Connection, table: Table, object_id: str) -> str | None:
    """Give the name of an object; None when it isn't there."""
    found = _name_of(table)(connection, {"wanted": object_id})
    return found[0].name if found else None


def exists(connection: Connection, table: Table, object_id: str) -> bool:
    """Tell whether an object is there."""
    return bool(_exists(table)(connection, {"wanted": object_id}))


def is_taken(connection: Connection, table: Table, column: str, value: object, own_id: str) -> bool:
    """Tell whether another object has a value already."""
    return bool(_other_with(table, column)(connection, {"wanted": value, "own": own_id}))


def insert_row(connection: Connection, table: Table, row: Mapping[str, object]) -> None:
    """Insert a row."""
    _insert(table, tuple(row))(connection, row)


def update_row(
    connection: Connection, table: Table, object_id: str, values: Mapping[str, object]
) -> None:
    """Set some columns of a row."""
    given = {f"new_{name}": value for name, value in values.items()}
    _update(table, tuple(values))(connection, {**given, "wanted": object_id})


def insert_unless_there(connection: Connection, table: Table, row: Mapping[str, object]) -> None:
    """Insert a row unless one with its key is there; pods that do so at once get along."""
    # SQLAlchemy's part for PostgreSQL takes 3 MiB, which a pod on SQLite has no use for.
    dialect: Any
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        dialect = postgresql
    else:
        from sqlalchemy.dialects import sqlite

        dialect = sqlite
    connection.execute(dialect.insert(table).values(**row).on_conflict_do_nothing())

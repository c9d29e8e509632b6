"""Copies the rows of every table from one database to another, and compares them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    RowMapping,
    Select,
    Table,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator

from tunnelcloud.store import schema
from tunnelcloud.store.column_types import ObjectId
from tunnelcloud.store.errors import StateUnusable

Told = Callable[[str, int], None]
"""Hears again and again how far a copy is: a table's name, and how many of its rows are copied."""

_ROWS = 1000
_DIGEST = 2**256
_TABLES = schema.metadata.sorted_tables


def refuse_rows(connection: Connection) -> None:
    """Look whether a database is empty.

    :raise StateUnusable: it isn't.
    """
    for table in _TABLES:
        if connection.execute(select(func.count()).select_from(table)).scalar_one():
            raise StateUnusable(
                f"the database isn't empty ({table.name} has rows): name an empty one"
            )


def copy_rows(source: Connection, target: Connection, told: Told) -> None:
    """Copy every row, and compare.

    :raise StateUnusable: something came out different.
    """
    for table in map(_raw, _TABLES):
        # A migration may have left rows of its own there.
        target.execute(delete(table))
        copied = 0
        for some in _partitions(source, table):
            target.execute(insert(table), [dict(row) for row in some])
            copied += len(some)
            told(table.name, copied)
    for table in map(_raw, _TABLES):
        with _reading(table):
            count, digest = _sum(source, table)
        if (count, digest) != _sum(target, table):
            raise StateUnusable(f"{table.name} came out different: check the disk, and try again")
        told(table.name, count)


def _partitions(source: Connection, table: Table) -> Iterator[Sequence[RowMapping]]:
    with _reading(table):
        yield from source.execute(_all(table)).mappings().partitions()


@contextmanager
def _reading(table: Table) -> Iterator[None]:
    """Tell what fails in reading from what fails in writing, which the writer gives a name."""
    try:
        yield
    except DBAPIError as error:
        raise StateUnusable(
            f"{table.name} can't be read from where it is: {' '.join(str(error.orig).split())}"
        ) from error


def _sum(connection: Connection, table: Table) -> tuple[int, int]:
    """Give how many rows a table has, and what they come to in any order."""
    count = digest = 0
    for row in connection.execute(_all(table)):
        count += 1
        hashed = hashlib.sha256(repr(tuple(row)).encode("utf-8", "backslashreplace")).digest()
        digest = (digest + int.from_bytes(hashed, "big")) % _DIGEST
    return count, digest


def _all(table: Table) -> Select[Any]:
    # An option of the connection would be there for what is written afterwards too.
    return select(table).execution_options(yield_per=_ROWS)


def _raw(table: Table) -> Table:
    """Give a table with the values that databases keep, and not those that the program reads.

    Ids are kept by each in its own way, and so are read and written as the program does.
    """
    columns: list[Column[Any]] = [Column(one.name, _raw_type(one.type)) for one in table.columns]
    return Table(table.name, MetaData(), *columns)


def _raw_type(kept_as: Any) -> Any:
    is_made = isinstance(kept_as, TypeDecorator) and not isinstance(kept_as, ObjectId)
    return kept_as.impl_instance if is_made else kept_as

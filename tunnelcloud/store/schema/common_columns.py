"""What all tables are made with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ForeignKey, MetaData, Text

from tunnelcloud.store.column_types import ObjectId, Ordered, OwnId, Timestamp

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def own_id(kind: str) -> Column[Any]:
    """Make the column of a row's own id."""
    return Column("id", OwnId(kind), primary_key=True)


def identity(kind: str) -> list[Column[Any]]:
    """Make the columns of all that has an id.

    :param kind: a key of ``ID_PREFIXES``.
    """
    return [
        own_id(kind),
        Column("created_at", Timestamp, nullable=False),
    ]


def naming(kind: str) -> list[Column[Any]]:
    """Make the columns of all that has a name; ``kind`` as for ``identity``."""
    return [
        *identity(kind),
        Column("name", Ordered, nullable=False, unique=True),
        Column("title", Text, nullable=False),
    ]


def owner(
    target: str, *, nullable: bool = False, index: bool = True, primary_key: bool = False
) -> Column[Any]:
    """Make a column that refers to an object without which the row has no meaning."""
    return Column(
        f"{target}_id",
        ObjectId(target),
        ForeignKey(f"{target}s.id", ondelete="CASCADE"),
        nullable=nullable,
        index=index,
        primary_key=primary_key,
    )

"""The database itself keeps the names of things in lower case, so that none is there twice."""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.store.errors import StateUnusable

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_IDENTIFIERS = (
    ("sites", "name", "id"),
    ("connectors", "name", "id"),
    ("tunnels", "name", "id"),
    ("tunnels", "external_address", "id"),
    ("users", "name", "id"),
    ("users", "email", "id"),
    ("user_names", "name", "user_id"),
    ("groups", "name", "id"),
    ("policies", "name", "id"),
    ("identity_providers", "name", "id"),
)
"""Tables, their columns with names that are looked up, and what tells a row from the others."""


def upgrade() -> None:
    """Apply it.

    :raise StateUnusable: names that differ only by case, which somebody has to tell apart.
    """
    connection = op.get_bind()
    same = [text for one in _IDENTIFIERS for text in _collisions(connection, *one)]
    if same:
        raise StateUnusable(
            "the upgrade has changed nothing, because names that differ only by the case of their "
            f"letters would become the same: {'; '.join(same)}: start the version before this one, "
            "give all but one of them another name by their ids, then upgrade again"
        )
    for table, column, _ in _IDENTIFIERS:
        _fold(connection, table, column)
        if connection.dialect.name == "postgresql":
            # The C collation's letters are ASCII's.
            op.create_check_constraint(
                f"ck_{table}_{column}_folded", table, f'"{column}" = lower("{column}" COLLATE "C")'
            )
        else:
            _guard(table, column)


def _collisions(connection: sa.Connection, table: str, column: str, identity: str) -> list[str]:
    rows = connection.execute(
        sa.text(f"SELECT {column}, {identity} FROM {table} WHERE {column} IS NOT NULL")  # noqa: S608
    ).all()
    alike = defaultdict(list)
    for name, owner in rows:
        alike[folded(name)].append(f"{name!r} ({owner})")
    shown = column.replace("_", " ")
    return [
        f"the {shown} of {table} {' and '.join(sorted(found))}"
        for found in alike.values()
        if len(found) > 1
    ]


def _fold(connection: sa.Connection, table: str, column: str) -> None:
    query = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608
    change = sa.text(f"UPDATE {table} SET {column} = :to WHERE {column} = :was")  # noqa: S608
    for name in connection.execute(sa.text(query)).scalars().all():
        if folded(name) != name:
            connection.execute(change, {"to": folded(name), "was": name})


def _guard(table: str, column: str) -> None:
    """Do what a CHECK does.

    SQLite adds none to a table: that would have to be made anew, with all that refers to it.
    Its ``lower`` knows ASCII letters alone.
    """
    for verb, event in (("insert", "INSERT"), ("update", f"UPDATE OF {column}")):
        name = f"ck_{table}_{column}_folded_{verb}"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} "
            f"WHEN NEW.{column} <> lower(NEW.{column}) "
            f"BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: {name}'); END"
        )

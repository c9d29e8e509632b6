"""Brings a database to the schema of this program, within the transaction it is given.

Alembic, which is a tenth of a pod's memory, is loaded only when migrations are missing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from tunnelcloud.store.errors import OthersAtWork, StateIsNewer

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).with_name("migrations")
WORKS_SINCE = {"sqlite": "0021", "postgresql": "0011"}
"""The earliest revision whose programs work with a database of this program's schema, by database.

A migration expands: programs of the release before go on working beside it, and may start.  What
only they need is taken away one release later, by a migration that raises this to the revision of
the release before.  On SQLite no other pod works beside it, so a migration may change more than
that: the way back is a backup (docs/adr/0019).
"""

_ASK_SQLITE = "PRAGMA user_version"
_KEEP_SQLITE = "PRAGMA user_version = {}"
_ASK_POSTGRES = "SELECT obj_description('alembic_version'::regclass, 'pg_class')"
_KEEP_POSTGRES = "COMMENT ON TABLE alembic_version IS '{}'"
REVISION = text("SELECT version_num FROM alembic_version")
LEASE_SECONDS = 30
"""Seconds for which a pod counts as working after it was last heard of."""

_AT_WORK = text(
    "SELECT name FROM pods WHERE stopped_at IS NULL AND name <> :name "
    "AND last_seen_at > extract(epoch FROM clock_timestamp()) * 1000 - :lease ORDER BY name"
)


def alembic_config(connection: Connection) -> Config:
    """Give Alembic's settings, which ``migrations/env.py`` reads."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


@cache
def known_revisions() -> tuple[str, ...]:
    """Give the revisions that this program knows, the one that it works with last.

    Their numbers are in the names of their files.
    """
    return tuple(sorted(path.name[1:5] for path in MIGRATIONS.glob("versions/r[0-9]*_*.py")))


def present_revision(connection: Connection) -> str | None:
    """Give the revision of a database; None for one that is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(REVISION).scalar()
    return revision


def migrate(connection: Connection, where: str, beside: str | None = None) -> None:
    """Run the missing migrations.

    :param where: the database's name for people.
    :param beside: the name of the pod that starts; no other pod may work with the database (of a
        PostgreSQL server) then.  None for somebody who says that it is to be migrated.
    :raise StateIsNewer: the database has migrations that this program doesn't know.
    :raise OthersAtWork: other pods work with it, and migrations are missing.
    """
    if lacks_migrations(connection, where, beside):
        from alembic import command

        command.upgrade(alembic_config(connection), "head")
        _keep_works_since(connection)


def lacks_migrations(connection: Connection, where: str, beside: str | None = None) -> bool:
    """Tell whether ``migrate`` would have something to do, and may.

    :raise StateIsNewer, OthersAtWork: as ``migrate``.
    """
    present = present_revision(connection)
    if present is not None and present not in known_revisions():
        if known_revisions()[-1] < _works_since(connection, present):
            raise StateIsNewer(where, present)
        return False
    if present == known_revisions()[-1]:
        return False
    if present is not None and beside is not None:
        _refuse_beside_others(connection, where, present, beside)
    return True


def _refuse_beside_others(connection: Connection, where: str, present: str, beside: str) -> None:
    """Leave it to an administrator to migrate what other pods work with.

    Reads what the first version of the table has.
    """
    rows = connection.execute(_AT_WORK, {"name": beside, "lease": LEASE_SECONDS * 1000})
    names = list(rows.scalars())
    if names:
        raise OthersAtWork(where, present, known_revisions()[-1], names)


def _works_since(connection: Connection, present: str) -> str:
    """Give the earliest revision whose programs work with this database."""
    asking = _ASK_SQLITE if connection.dialect.name == "sqlite" else _ASK_POSTGRES
    found = connection.exec_driver_sql(asking).scalar()
    return f"{int(found):04}" if found else present


def _keep_works_since(connection: Connection) -> None:
    # Beside the tables: copies of a database compare those, row by row.
    keeping = _KEEP_SQLITE if connection.dialect.name == "sqlite" else _KEEP_POSTGRES
    connection.exec_driver_sql(keeping.format(int(WORKS_SINCE[connection.dialect.name])))

"""Brings a database to the schema of this program, within the transaction it is given."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from tunnelcloud.store.errors import StateIsNewer

MIGRATIONS = Path(__file__).with_name("migrations")


def alembic_config(connection: Connection) -> Config:
    """Give Alembic's settings, which C{migrations/env.py} reads."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


@cache
def _known_revisions() -> tuple[str, frozenset[str]]:
    """Give the revision that this program works with, and all that lead to it."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    head = scripts.get_current_head()
    assert head is not None
    return head, frozenset(script.revision for script in scripts.walk_revisions())


def migrate(connection: Connection, where: str) -> None:
    """Run what migrations are missing.

    :param where: what the database is, for a person.
    :raise StateIsNewer: the database has migrations that this program doesn't know.
    """
    head, known = _known_revisions()
    present = MigrationContext.configure(connection).get_current_revision()
    if present is not None and present not in known:
        raise StateIsNewer(where, present)
    if present != head:
        command.upgrade(alembic_config(connection), "head")

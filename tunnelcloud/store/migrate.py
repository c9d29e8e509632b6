"""Brings a database to the schema of this program, within the transaction it is given."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from tunnelcloud.store.errors import StateIsNewer


def alembic_config(connection: Connection) -> Config:
    """Give Alembic's settings, which C{migrations/env.py} reads."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config


def migrate(connection: Connection, where: str) -> None:
    """Run what migrations are missing.

    :param where: what the database is, for a person.
    :raise StateIsNewer: the database has migrations that this program doesn't know.
    """
    config = alembic_config(connection)
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    present = MigrationContext.configure(connection).get_current_heads()
    for revision in present:
        if revision not in known:
            raise StateIsNewer(where, revision)
    if set(present) != set(scripts.get_heads()):
        command.upgrade(config, "head")

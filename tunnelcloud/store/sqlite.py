"""SQLite: one thread writes, and commits what many asked for at once.

A commit with ``synchronous=FULL`` waits for the disk.  Functions that come while it waits are run
in the next transaction together, each in a savepoint of its own, and acknowledged after the one
commit; so the number of logins a second doesn't depend on the disk's latency.  A transaction has at
most one function of each user: whoever asks for much at once keeps others waiting for one of these.

Of the connections only the writer's checkpoints (SQLite before 3.51.3 can corrupt a WAL that two
connections reset), and a lock on a file keeps other processes out.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import define, field
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from tunnelcloud.interpreter_lock import in_turn
from tunnelcloud.net.round_robin import CAUSER
from tunnelcloud.store import audit_rows
from tunnelcloud.store.backend import Backend, Work, failed
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.errors import StateUnusable, StoreError, StoreUnavailable
from tunnelcloud.store.failures import database_errors, unavailable
from tunnelcloud.store.migrate import migrate
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.sqlite_connections import PoliteConnection
from tunnelcloud.store.sqlite_files import FILE_NAME, make_private, take
from tunnelcloud.store.sqlite_shrinking import SHRINKING
from tunnelcloud.store.transaction import Actor, Clock, Transaction
from tunnelcloud.store.waiting_jobs import WaitingJobs

T = TypeVar("T")

_READER_THREADS = 2
"""What they do but for the database's own work needs the interpreter, which the reactor's thread
then waits for, behind each of them."""

_MAX_BATCH = 256
_MAX_WAITING = 20_000
_BUSY_MILLISECONDS = 10_000
_CONNECTING = {"check_same_thread": False, "factory": PoliteConnection}
_WAL_BYTES = 64 * 1024 * 1024
_CHECKPOINT_PAGES = 4000
"""Of the WAL; the same pages are written by one transaction after the other, and then back once."""


def sqlite_clock(_: Connection) -> int:
    """Tell the database's time in milliseconds since the epoch: SQLite's is this machine's."""
    return time.time_ns() // 1_000_000


@define
class _Job:
    actor: Actor
    work: Work[Any]
    fate: Fate
    future: Future[Any] = field(factory=Future)


class SQLiteBackend(Backend):
    """A SQLite file with one writer."""

    def __init__(
        self,
        writer: Engine,
        readers: Engine,
        lock: int,
        clock: Clock,
        random: Callable[[int], bytes],
    ) -> None:
        super().__init__(readers, _READER_THREADS, clock, random)
        self._writer = writer
        self._lock = lock
        self._closed = False
        # Guards _closed: no job is put into the queue once that is closed.
        self._gate = threading.Lock()
        self._jobs = WaitingJobs[_Job]()
        self._thread = threading.Thread(target=self._run, name="store-write", daemon=True)
        self._thread.start()

    def write_soon(self, actor: Actor, work: Work[T], fate: Fate) -> Future[T]:
        """Queue ``work``; its future fires once it is on the disk."""
        job = _Job(actor, work, fate)
        with self._gate:
            if self._closed:
                return failed(StoreUnavailable("the store is closed"))
            if len(self._jobs) >= _MAX_WAITING:
                return failed(StoreUnavailable("the database is too slow: too many writes wait"))
            self._jobs.put(CAUSER.get(), job)
        return job.future

    def close(self) -> None:
        """Finish what was queued; the last connection to go is the one that checkpoints."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
        self._jobs.close()
        self._thread.join()
        self.close_readers()
        self._writer.dispose()
        os.close(self._lock)

    def _run(self) -> None:
        with self._writer.connect() as connection:
            self._work(connection)

    def _work(self, connection: Connection) -> None:
        while waiting := self._jobs.take(_MAX_BATCH):
            batch: list[_Job] = []
            for job in waiting:
                if job.fate.is_given_up:
                    job.future.cancel()
                if job.future.set_running_or_notify_cancel():
                    batch.append(job)
            del waiting
            if batch:
                with in_turn():
                    self._run_batch(connection, batch)

    def _run_batch(self, connection: Connection, batch: list[_Job]) -> None:
        done: list[tuple[_Job, Transaction, Any]] = []
        try:
            with database_errors(), _begun(connection):
                for job in batch:
                    transaction = self.transaction(connection, job.actor)
                    try:
                        with database_errors(), _apart(connection, batch):
                            result = job.work(transaction)
                            job.fate.commit()
                        done.append((job, transaction, result))
                    except BaseException as error:
                        # A full disk ends the whole transaction, and with it the others' work.
                        if not _in_transaction(connection):
                            raise
                        job.future.set_exception(error)
                        if len(batch) == 1:
                            raise
        except BaseException as error:
            for job in batch:
                if not job.future.done():
                    job.future.set_exception(_unacknowledged(error))
            return
        # In their order: a session is there before what takes its key away is told.
        for job, transaction, result in done:
            self.tell(transaction.committed())
            job.future.set_result(result)


_BEGIN = Prepared(text("BEGIN IMMEDIATE"))
_COMMIT = Prepared(text("COMMIT"))
_ROLL_BACK = Prepared(text("ROLLBACK"))
_SAVE = Prepared(text("SAVEPOINT job"))
_RELEASE = Prepared(text("RELEASE job"))
_RETURN = Prepared(text("ROLLBACK TO job"))


@contextmanager
def _begun(connection: Connection) -> Iterator[None]:
    """Commit what is done within, or leave nothing of it."""
    _BEGIN(connection, {})
    try:
        yield
        _COMMIT(connection, {})
    except BaseException:
        if _in_transaction(connection):
            _ROLL_BACK(connection, {})
        raise


@contextmanager
def _saved(connection: Connection) -> Iterator[None]:
    _SAVE(connection, {})
    try:
        yield
    except BaseException:
        if _in_transaction(connection):
            _RETURN(connection, {})
            _RELEASE(connection, {})
        raise
    _RELEASE(connection, {})


def _apart(connection: Connection, batch: list[_Job]) -> AbstractContextManager[object]:
    """Keep one job's failure from undoing the others', if there are others."""
    return _saved(connection) if len(batch) > 1 else nullcontext()


def _unacknowledged(error: BaseException) -> StoreError:
    if isinstance(error, StoreError):
        return error
    away = unavailable(error)
    away.__cause__ = error
    return away


def _in_transaction(connection: Connection) -> bool:
    driver = cast(sqlite3.Connection, connection.connection.driver_connection)
    return driver.in_transaction


def open_sqlite(
    state_directory: Path, *, random: Callable[[int], bytes], clock: Clock | None
) -> SQLiteBackend:
    """Open (or make) the database in a state directory and bring it up to date.

    :raise StateUnusable: with what to do; ``StateIsNewer`` is one.
    """
    path = state_directory / FILE_NAME
    lock = take(path)
    writer = _writer_engine(path)
    try:
        # The -wal and -shm files get the mode of the main file, and by root its owner.
        make_private(path)
        with writer.connect() as connection, _begun(connection):
            migrate(connection, str(path))
            last = connection.execute(audit_rows.LAST_ID).scalar()
    except BaseException as error:
        writer.dispose()
        os.close(lock)
        if isinstance(error, DBAPIError):
            raise StateUnusable(
                f"{path} can't be used: {error.orig}: check the disk, or restore a backup"
            ) from error
        raise
    backend = SQLiteBackend(writer, _reader_engine(path), lock, clock or sqlite_clock, random)
    backend.ids.follow(last)
    return backend


def _writer_engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool, connect_args=_CONNECTING)
    _configure(
        engine,
        SHRINKING,
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"journal_size_limit={_WAL_BYTES}",
        f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
    )
    return engine


def _reader_engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        pool_size=_READER_THREADS + 1,
        max_overflow=-1,
        connect_args=_CONNECTING,
    )
    _configure(engine, "query_only=ON", "wal_autocheckpoint=0")
    begin = Prepared(text("BEGIN"))

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        begin(connection, {})

    return engine


def _configure(engine: Engine, *pragmas: str) -> None:
    @event.listens_for(engine, "connect")
    def connected(driver: sqlite3.Connection, _record: object) -> None:
        driver.isolation_level = None
        for pragma in (f"busy_timeout={_BUSY_MILLISECONDS}", *pragmas):
            driver.execute(f"PRAGMA {pragma}")

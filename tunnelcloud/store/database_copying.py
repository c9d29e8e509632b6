"""Copies whole databases, of either kind: backups, their restoring, and the move to another one.

A backup is a SQLite file with every row of one moment, whatever database it was made from.  What is
copied is compared with where it came from before it counts, and counts as a whole or not at all,
however the command ends.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Connection, delete, update

from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import audit_rows, schema
from tunnelcloud.store.column_types import ENDED
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.errors import StateUnusable
from tunnelcloud.store.migrate import migrate
from tunnelcloud.store.pod_exclusion import unused_postgres
from tunnelcloud.store.postgres import COPYING, MIGRATION_LOCK, postgres_clock, postgres_engine
from tunnelcloud.store.row_copying import Told, copy_rows, refuse_rows
from tunnelcloud.store.snapshots import (
    file_engine,
    is_current,
    snapshot,
    snapshot_of_file,
    there,
    usable,
)
from tunnelcloud.store.sqlite import sqlite_clock
from tunnelcloud.store.sqlite_files import (
    FILE_NAME,
    beside,
    hold_sqlite,
    logs_of,
    new_file,
    part_of,
)
from tunnelcloud.store.sqlite_shrinking import SHRINKING
from tunnelcloud.store.transaction import SYSTEM, Clock, IdSource, Transaction

_End = Callable[[Transaction], None]
UPGRADED = "tunnelcloud.upgraded"
"""The copy of an old backup, in the state directory while a restore reads it."""


def back_up(url: str, state_directory: Path, file: Path, told: Told, fate: Fate) -> None:
    """Write every row of one moment into a new file; pods may go on meanwhile.

    :param url: as in pod.toml.
    :param fate: may be given up until the file gets its name.
    :raise StateUnusable: with what to do; no file is left then.
    """
    with usable(file):
        if file.exists():
            raise StateUnusable(f"{file} is there already: name another file, or remove it")
    with (
        snapshot(url, state_directory) as source,
        usable(file),
        _filled_file(file, fate, given=False) as target,
    ):
        copy_rows(source, target, told)


def restore(file: Path, url: str, state_directory: Path, told: Told, fate: Fate) -> None:
    """Fill an empty database from a backup, by this version or one before.

    What is good for one use is void afterwards, and nobody is signed in to the portal: it may have
    been used, or ended, after the backup was made.

    :param fate: may be given up until all is compared.
    :raise StateUnusable: with what to do; the database is empty then.
    """
    there(file, "there is no such file")
    _refuse_file(url, state_directory)
    with usable(file):
        is_old = not is_current(file)
    # Only an old backup is copied, to be upgraded; the state directory is where its secrets may be.
    copy = state_directory / UPGRADED
    left = [one for one in (copy, part_of(copy), *beside(copy)) if one.exists()]
    holds = is_old or left or url == "sqlite"
    with hold_sqlite(state_directory) if holds else nullcontext(), usable(file):
        for one in left:
            one.unlink(missing_ok=True)
        read = _upgraded(file, state_directory) if is_old else snapshot_of_file(file)
        with read as source:
            _fill(source, url, state_directory, told, fate, end=_void)


def move(url: str, state_directory: Path, new_url: str, told: Told, fate: Fate) -> None:
    """Copy a database that no pod uses into an empty one.

    :param fate: may be given up until all is compared.
    :raise StateUnusable: with what to do; the new database is empty then.
    """
    if url == "sqlite":
        there(state_directory / FILE_NAME, "there is no database")
    _refuse_file(new_url, state_directory)
    held = hold_sqlite(state_directory) if "sqlite" in (url, new_url) else nullcontext()
    with held:
        if url == "sqlite":
            with snapshot(url, state_directory) as source:
                _fill(source, new_url, state_directory, told, fate, end=lambda _: None)
            return
        with unused_postgres(url) as refuse_pods, snapshot(url, state_directory) as source:
            refuse_pods()
            _fill(source, new_url, state_directory, told, fate, end=lambda _: refuse_pods())


@contextmanager
def _upgraded(file: Path, state_directory: Path) -> Iterator[Connection]:
    """Read an old backup as if this version had made it."""
    copy = state_directory / UPGRADED
    try:
        with new_file(copy, given=True) as part:
            shutil.copyfile(file, part)
            engine = file_engine(part, "rw")
            try:
                with engine.begin() as connection:
                    migrate(connection, str(file))
            finally:
                engine.dispose()
        with snapshot_of_file(copy) as source:
            yield source
    finally:
        copy.unlink(missing_ok=True)


def _fill(
    source: Connection,
    url: str,
    state_directory: Path,
    told: Told,
    fate: Fate,
    end: _End,
) -> None:
    """Copy into an empty database.

    :param end: runs in the transaction that copied, once all is compared.
    """
    if url == "sqlite":
        # Now that no pod can make one.
        _refuse_file(url, state_directory)
        path = state_directory / FILE_NAME
        with usable(path), _filled_file(path, fate, given=True) as target:
            copy_rows(source, target, told)
            end(_transaction(target, sqlite_clock))
        return
    with usable("the new database"), _filled_postgres(url, fate) as target:
        copy_rows(source, target, told)
        end(_transaction(target, postgres_clock))


def _refuse_file(url: str, state_directory: Path) -> None:
    """Look whether a SQLite database can be made, without anything of another one beside it.

    SQLite would take that one's log for the new one's, and break the new one by it.
    """
    if url != "sqlite":
        return
    path = state_directory / FILE_NAME
    with usable(path):
        if path.exists():
            raise StateUnusable(f"{path} is there already: move it away first")
        for one in logs_of(path):
            if one.exists() and one.stat().st_size:
                raise StateUnusable(
                    f"{one} is there already: move it away first, to the database that was here; "
                    "it holds the last changes of that one"
                )


@contextmanager
def _filled_file(path: Path, fate: Fate, *, given: bool) -> Iterator[Connection]:
    """Make a SQLite database; nothing is there until it is whole.

    :param given: as for ``new_file``.
    """
    with new_file(path, given=given) as part:
        engine = file_engine(part, "rw")
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(f"PRAGMA {SHRINKING}")
            with engine.begin() as connection:
                migrate(connection, str(path))
                yield connection
        finally:
            engine.dispose()
        fate.commit()


@contextmanager
def _filled_postgres(url: str, fate: Fate) -> Iterator[Connection]:
    """Make tables and rows in one transaction; pods that start on it meanwhile wait."""
    engine = postgres_engine(url, COPYING)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            migrate(connection, "the new database")
            refuse_rows(connection)
            yield connection
            fate.commit()
    finally:
        engine.dispose()


def _transaction(connection: Connection, clock: Clock) -> Transaction:
    ids = IdSource(os.urandom)
    ids.follow(connection.execute(audit_rows.LAST_ID).scalar())
    return Transaction(connection, SYSTEM, clock, ids)


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
        unused = update(table).where(table.c.redeemed_at.is_(None))
        connection.execute(unused.values(expires_at=ENDED))
    codes, grants, requests = schema.recovery_codes, schema.timed_grants, schema.approval_requests
    connection.execute(update(codes).where(codes.c.used_at.is_(None)).values(used_at=now))
    live = update(grants).where(grants.c.ended_at.is_(None), grants.c.ends_at > now)
    connection.execute(live.values(ended_at=now))
    waiting = update(requests).where(requests.c.status == RequestStatus.PENDING)
    connection.execute(waiting.values(status=RequestStatus.EXPIRED, waits_as=None))
    for table in (schema.web_sessions, schema.sign_in_steps, schema.device_logins):
        connection.execute(delete(table))
    transaction.audit(AuditEvent("database.restored"))

"""PostgreSQL: a pool of connections, one transaction a function, NOTIFY within it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from tunnelcloud.interpreter_lock import in_turn
from tunnelcloud.store import audit_rows
from tunnelcloud.store.backend import Backend, Work, failed
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.errors import (
    GivenUp,
    OutcomeUnknown,
    StateUnusable,
    StoreUnavailable,
    Trouble,
)
from tunnelcloud.store.failures import database_errors
from tunnelcloud.store.migrate import migrate
from tunnelcloud.store.threads_in_turns import ThreadsInTurns
from tunnelcloud.store.transaction import Actor, Change, Clock, Transaction

T = TypeVar("T")

CHANNEL = "tunnelcloud"
RESYNC = "resync"
_THREADS = 8
_MAX_NOTICES = 100
_ATTEMPTS = 4
_RETRIED = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_SESSION = "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
SOCKET: Mapping[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 3000,
}
"""How a server that went without a word is noticed: within 10 s, where the system takes hours."""
_POOLED = (
    "a connection pooler before the database loses the notices by which pods hear of changes: "
    "name PostgreSQL's own port in [database] url, or set pool_mode = session and "
    "ignore_startup_parameters = options for this database in pgbouncer.ini"
)
_NOTICE_SECONDS = 10.0
COPYING = "-c statement_timeout=0 -c lock_timeout=10s -c idle_in_transaction_session_timeout=0"
"""For one who reads or writes all of a database, with pauses while another one is worked on."""
MIGRATION_LOCK = 0x74756E6E656C  # "tunnel"
MOVE_LOCK = 0x6D6F7665  # "move"
"""Locked exclusively while a database is moved, and shared by every process that opens it."""


_NOW = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_LOOK = f"{_NOW}, (SELECT max(id) FROM audit)"  # noqa: S608


def postgres_clock(connection: Connection) -> int:
    """Tell the database's time in milliseconds since the epoch."""
    return int(connection.exec_driver_sql(_NOW).scalar_one())


class PostgresBackend(Backend):
    """A PostgreSQL database, shared with other pods.

    :ivar dsn: how to connect to it; holds the password.
    """

    def __init__(
        self, engine: Engine, dsn: str, clock: Clock | None, random: Callable[[int], bytes]
    ) -> None:
        readers = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        super().__init__(readers, _THREADS, clock or self._look, random)
        self.dsn = dsn
        self._writers = engine
        self._writing = ThreadsInTurns(_THREADS, "store-write")

    def write_soon(self, actor: Actor, work: Work[T], fate: Fate) -> Future[T]:
        """Run ``work`` in a thread, in the turn of whoever causes it."""
        try:
            return self._writing.submit(partial(self._write, actor, work, fate))
        except RuntimeError:
            return failed(StoreUnavailable("the store is closed"))

    def check(self) -> None:
        """See to it that notices of changes arrive: a pooler may lose them."""
        from psycopg import Error, connect

        channel = f"{CHANNEL}_start_{secrets.token_hex(8)}"
        try:
            with connect(self.dsn, autocommit=True, **SOCKET) as listener:
                listener.execute(f"LISTEN {channel}")
                # By another connection: a pooler may hand one back what it sent itself.
                with self._writers.begin() as connection:
                    connection.exec_driver_sql(f"NOTIFY {channel}")
                heard = any(True for _ in listener.notifies(timeout=_NOTICE_SECONDS, stop_after=1))
        except (Error, DBAPIError) as error:
            raise StateUnusable(f"the database can't be used: {error}") from error
        if not heard:
            raise StateUnusable(_POOLED)

    def close(self) -> None:
        """Finish what was begun and close the connections."""
        self._writing.close(cancels=False)
        self.close_readers()

    def _look(self, connection: Connection) -> int:
        """Tell the database's time in milliseconds since the epoch, and where the audit ends.

        Other pods write there too, and the time may have gone back.
        """
        milliseconds, last = connection.exec_driver_sql(_LOOK).one()
        self.ids.follow(last)
        return int(milliseconds)

    def _write(self, actor: Actor, work: Work[T], fate: Fate) -> T:
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._write_once(actor, work, fate)
            except StoreUnavailable as error:
                orig = getattr(error.__cause__, "orig", None)
                if getattr(orig, "sqlstate", None) not in _RETRIED:
                    raise
        return self._write_once(actor, work, fate)

    def _write_once(self, actor: Actor, work: Work[T], fate: Fate) -> T:
        if fate.is_given_up:
            raise GivenUp
        is_ready = False
        try:
            with in_turn(), database_errors(), self._writers.begin() as connection:
                transaction = self.transaction(connection, actor)
                result = work(transaction)
                _notify(transaction)
                fate.commit()
                is_ready = True
        except StoreUnavailable as error:
            if is_ready and error.trouble is Trouble.GONE:
                raise OutcomeUnknown(str(error), error.trouble) from error.__cause__
            raise
        self.tell(transaction.committed())
        return result


def _notify(transaction: Transaction) -> None:
    changes = transaction.committed().changes
    if not changes:
        return
    payloads = [notice(one) for one in changes] if len(changes) <= _MAX_NOTICES else [RESYNC]
    transaction.connection.execute(
        text("SELECT pg_notify(:channel, one) FROM unnest(CAST(:payloads AS text[])) AS one"),
        {"channel": CHANNEL, "payloads": payloads},
    )


def notice(change: Change) -> str:
    """Write a change as a notification's payload."""
    return " ".join([change.kind, change.id, str(int(change.decides)), *change.concerns])


def postgres_engine(url: str, session: str = _SESSION) -> Engine:
    """Give connections to a database, none of them made yet.

    :param session: the server's settings for them, as libpq's ``options``.
    :raise StateUnusable: with what to do.
    """
    try:
        from tunnelcloud.store import postgres_connections

        engine = create_engine(
            "postgresql+psycopg://",
            pool_size=2 * _THREADS,
            max_overflow=4,
            pool_timeout=10,
            pool_pre_ping=True,
            connect_args={**SOCKET, "options": session},
        )
    except ImportError as error:
        raise StateUnusable(
            "a PostgreSQL database needs psycopg: in TunnelCloud's source directory, run "
            "pip install '.[postgres]'"
        ) from error
    dsn = read_dsn(url)

    def connect(_dialect: object, _record: object, _words: object, options: dict[str, Any]) -> Any:
        return postgres_connections.connect(dsn, **options)

    # libpq reads the URL itself: SQLAlchemy knows no URL with several hosts.
    event.listen(engine, "do_connect", connect)
    return engine


def read_dsn(url: str) -> str:
    """Read a URL as libpq does; of several hosts only one that takes writes is meant.

    :raise StateUnusable: with what to do.
    """
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        found: dict[str, Any] = conninfo_to_dict(url)
    except Error as error:
        raise StateUnusable(
            'that is no address of a database: [database] url: use "postgresql://user:password@'
            'host/name", or "postgresql://user:password@host1,host2/name" with standbys'
        ) from error
    if any("," in str(found.get(name, "")) for name in ("host", "hostaddr")):
        found.setdefault("target_session_attrs", "read-write")
    return make_conninfo(**found)


def open_postgres(
    url: str, *, random: Callable[[int], bytes], clock: Clock | None, beside: str | None = None
) -> PostgresBackend:
    """Connect to a database and bring it up to date; pods that start together take turns.

    :param beside: see ``migrate``.
    :raise StateUnusable: with what to do; ``StateIsNewer`` is one.
    """
    engine = postgres_engine(url)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            _refuse_if_moved(connection)
            migrate(connection, "the database", beside)
            last = connection.execute(audit_rows.LAST_ID).scalar()
    except DBAPIError as error:
        engine.dispose()
        if "unsupported startup parameter" in str(error.orig):
            raise StateUnusable(_POOLED) from error
        what = "reached" if isinstance(error, OperationalError) else "used"
        said = " ".join(str(error.orig).split())
        raise StateUnusable(
            f"the database can't be {what}: {said}: check [database] url"
        ) from error
    except BaseException:
        engine.dispose()
        raise
    backend = PostgresBackend(engine, read_dsn(url), clock, random)
    backend.ids.follow(last)
    return backend


def _refuse_if_moved(connection: Connection) -> None:
    lock = f"SELECT pg_try_advisory_xact_lock_shared({MOVE_LOCK})"
    if not connection.exec_driver_sql(lock).scalar_one():
        raise StateUnusable(
            "the database is being moved to another one: start again once `tunnelcloud db "
            "migrate-to` has ended, with the new [database] url"
        )

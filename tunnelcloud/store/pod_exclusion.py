"""Keeps pods from a PostgreSQL database that is moved to another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Connection, select

from tunnelcloud.store.column_types import from_milliseconds
from tunnelcloud.store.errors import StateUnusable
from tunnelcloud.store.postgres import COPYING, MOVE_LOCK, postgres_clock, postgres_engine
from tunnelcloud.store.schema import pods
from tunnelcloud.store.snapshots import usable

_LATELY_MILLISECONDS = 60_000


@contextmanager
def unused_postgres(url: str) -> Iterator[Callable[[], None]]:
    """Let no pod start on a database.

    :return: call it at the beginning and at the end: it raises when a pod uses the database.
    :raise StateUnusable: something opens it just now.
    """
    engine = postgres_engine(url, COPYING)
    try:
        with usable("the database"), engine.begin() as connection:
            lock = f"SELECT pg_try_advisory_xact_lock({MOVE_LOCK})"
            if not connection.exec_driver_sql(lock).scalar_one():
                raise StateUnusable(
                    "a pod or another command opens the database just now: stop all pods, and "
                    "try again"
                )

            yield partial(_refuse_pods, connection)
    finally:
        engine.dispose()


def _refuse_pods(connection: Connection) -> None:
    """Look for pods that don't know of the lock: older ones, and those that had stood still."""
    now = postgres_clock(connection)
    query = select(pods.c.name).where(
        pods.c.stopped_at.is_(None),
        pods.c.last_seen_at > from_milliseconds(now - _LATELY_MILLISECONDS),
    )
    running = connection.execute(query).scalars().all()
    if running:
        raise StateUnusable(
            f"pods use the database: stop {', '.join(running)} first (one that was killed "
            "counts as running for a minute)"
        )

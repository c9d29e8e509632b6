"""Connections to PostgreSQL whose threads let others work while they wait for the server.

The server works elsewhere, but making objects of what it answers is this process's work: see
``interpreter_lock`` for what several such threads do to the reactor's.
"""

from __future__ import annotations

from typing import Any

import psycopg

from tunnelcloud.interpreter_lock import STEPS, let_others_in, without_turn


class PoliteCursor(psycopg.Cursor[Any]):
    """Lets others in between the rows that it gives."""

    def fetchone(self) -> Any:
        """Give the next row."""
        let_others_in()
        return super().fetchone()

    def fetchall(self) -> list[Any]:
        """Give the rows that are left, read some at a time."""
        found: list[Any] = []
        while True:
            some = self.fetchmany(STEPS)
            found += some
            if len(some) < STEPS:
                return found
            let_others_in()


class PoliteConnection(psycopg.Connection[Any]):
    """Leaves the turn while it waits for the server."""

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Wait until the server has answered."""
        with without_turn():
            return super().wait(*args, **kwargs)


def connect(dsn: str, **options: Any) -> PoliteConnection:
    """Connect to a server, which takes as long as it answers.

    :param options: psycopg's.
    """
    with without_turn():
        return PoliteConnection.connect(dsn, cursor_factory=PoliteCursor, **options)

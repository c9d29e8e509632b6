"""Connections to SQLite whose threads let the reactor's thread in.

SQLite lets go of Python's lock in each statement and for each row, for a few microseconds: see
``interpreter_lock`` for what that does to others.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from tunnelcloud.interpreter_lock import STEPS, let_others_in, without_turn


class PoliteCursor(sqlite3.Cursor):
    """Lets others in before a statement, and between the rows that it gives."""

    def execute(self, *args: Any) -> PoliteCursor:
        """Run a statement."""
        let_others_in()
        with without_turn():
            super().execute(*args)
        return self

    def fetchone(self) -> Any:
        """Give the next row."""
        let_others_in()
        with without_turn():
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        """Give the rows that are left, read some at a time."""
        found: list[Any] = []
        while True:
            with without_turn():
                some = self.fetchmany(STEPS)
            found += some
            if len(some) < STEPS:
                return found
            let_others_in()


class PoliteConnection(sqlite3.Connection):
    """Makes such cursors."""

    def cursor(self, factory: Any = PoliteCursor) -> Any:
        """Make a cursor."""
        return super().cursor(factory)

    def execute(self, *args: Any) -> Any:
        """Run a statement in a cursor of its own."""
        return self.cursor().execute(*args)

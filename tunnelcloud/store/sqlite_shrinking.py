"""Gives the space of deleted rows back to the file system: SQLite's file shrinks again.

Only files that were made so can be shrunk a little at a time.  PostgreSQL looks after its own.
"""

from __future__ import annotations

from sqlalchemy import text

from tunnelcloud.interpreter_lock import politely
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.transaction import Transaction

SHRINKING = "auto_vacuum=INCREMENTAL"
"""The settings of a SQLite file that have to be made before its first table."""

_INCREMENTAL = 2
_KEPT_PART = 10
"""So small a part of the file may be free: new rows take that place soon."""

# One at a time: the driver stops this statement after its first page.
_GIVE_ONE_BACK = Prepared(text("PRAGMA incremental_vacuum(1)"))


def give_back(transaction: Transaction, *, limit: int = 500) -> int:
    """Release free pages if they are more than a tenth of the file.

    :param limit: how many at most, since a long transaction would hold up the others.
    :return: how many there were; fewer than ``limit`` means that no more are to be given back.
    """
    if transaction.connection.dialect.name != "sqlite":
        return 0
    if _pragma(transaction, "auto_vacuum") != _INCREMENTAL:
        return 0
    spare = _pragma(transaction, "freelist_count")
    spare -= _pragma(transaction, "page_count") // _KEPT_PART
    given = max(0, min(spare, limit))
    for _ in politely(range(given)):
        _GIVE_ONE_BACK(transaction.connection, {})
    return given


def _pragma(transaction: Transaction, name: str) -> int:
    return int(transaction.connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)

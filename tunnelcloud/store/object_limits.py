"""How much of a kind one user may have at once: nobody fills the database alone.

No person comes near these numbers; a program that does is told so, and what to do.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, func, select

from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.transaction import Transaction

MOST_TOKENS = 1000
"""One-time tokens that are good; each is good for minutes."""
MOST_KEYS = 200
MOST_REQUESTS = 200
"""Requests for an approval that wait."""
MOST_EMERGENCIES = 10
"""Emergencies that nobody has reviewed."""


def check_room(
    transaction: Transaction, table: Table, most: int, *theirs: ColumnElement[bool], what: str
) -> None:
    """Refuse one more object to a user who has the most allowed.

    Exact if the caller holds the user's lock; else a few more may be created at the same moment.

    :param theirs: the conditions for what counts.
    :param what: for the text: what there are so many of, and what to do.
    :raise Conflict: there is no room.
    """
    query = select(func.count()).select_from(table).where(*theirs)
    if transaction.connection.execute(query).scalar_one() >= most:
        raise Conflict("", f"the user has {most} {what}")

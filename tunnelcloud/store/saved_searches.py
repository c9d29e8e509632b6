"""Searches of the audit that people keep under a name, each for themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen
from sqlalchemy import delete, func, insert, select

from tunnelcloud.store import users
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.schema import saved_searches as table
from tunnelcloud.store.transaction import Transaction

MOST = 20
"""How many searches a user may keep."""

MAX_NAME = 60
"""How many characters a name may have."""

MAX_VALUE = 320
"""How many characters each filter may have; no name or address is longer."""


@frozen
class SavedSearch:
    """A search under its name.

    :ivar filters: what is asked for, by the names of the audit page's fields.
    """

    name: str
    filters: Mapping[str, str]


def of_user(transaction: Transaction, user_id: str) -> Sequence[SavedSearch]:
    """List what a user keeps, in the order of the names."""
    query = select(table.c.name, table.c.filters).where(table.c.user_id == user_id)
    rows = transaction.connection.execute(query.order_by(table.c.name))
    return [SavedSearch(*row) for row in rows]


def keep(transaction: Transaction, user_id: str, name: str, filters: Mapping[str, str]) -> None:
    """Keep a search; what had the name before is replaced.

    :param name: of 1 to ``MAX_NAME`` characters.
    :raise NotFound: there is no such user.
    :raise Conflict: the user keeps ``MOST`` searches already.
    """
    # Two at once by the same user wait for each other: the number holds.
    users.USERS.lock(transaction, user_id)
    forget(transaction, user_id, name)
    own = select(func.count()).where(table.c.user_id == user_id)
    if transaction.connection.execute(own).scalar_one() >= MOST:
        raise Conflict("name", f"you keep {MOST} searches already: remove one first")
    row = {"user_id": user_id, "name": name, "filters": dict(filters)}
    transaction.connection.execute(insert(table), row)


def forget(transaction: Transaction, user_id: str, name: str) -> None:
    """Remove a search; none of that name is none to remove."""
    transaction.connection.execute(
        delete(table).where(table.c.user_id == user_id, table.c.name == name)
    )

"""Checks again, in a transaction that writes, whether the request's credential is still good.

A request is authenticated before it is handled, and writes later.  So the transaction that writes
checks the credential once more, and locks it: another transaction that ends it, or blocks or
demotes its user, waits for the commit, and then sees the written rows.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, or_, select

from tunnelcloud.domain.entities import Role
from tunnelcloud.store.schema import api_tokens, users, web_sessions
from tunnelcloud.store.transaction import Transaction


def role_by_api_token(
    transaction: Transaction, token_id: str, user_id: str | None, *, hold: bool
) -> Role | None:
    """Return the current role of an API token.

    :param user_id: its user; None for a token of no user.
    :param hold: lock it until the commit.
    :return: the role of its user, or of the token itself; None if it is no longer good.
    """
    now = transaction.now()
    lasts = or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > now)
    whose = api_tokens.c.user_id.is_not_distinct_from(user_id)
    role = _find(transaction, api_tokens, api_tokens.c.role, hold, token_id, lasts, whose)
    return role if role is None or user_id is None else _role_of(transaction, user_id)


def role_by_web_session(
    transaction: Transaction, session_id: str, user_id: str, *, hold: bool
) -> Role | None:
    """Return the current role of a sign-in to the portal; as :func:`role_by_api_token`."""
    table = web_sessions
    good = table.c.expires_at > transaction.now(), table.c.user_id == user_id
    found = _find(transaction, table, table.c.id, hold, session_id, *good)
    return None if found is None else _role_of(transaction, user_id)


def wait_for_writers(transaction: Transaction, user_id: str) -> None:
    """Wait for who writes by a credential of a user; from now on they wait for this commit."""
    for table in (api_tokens, web_sessions):
        theirs = select(table.c.id).where(table.c.user_id == user_id).order_by(table.c.id)
        transaction.connection.execute(theirs.with_for_update())


def _find(
    transaction: Transaction,
    table: Table,
    wanted: ColumnElement[Role],
    hold: bool,
    credential_id: str,
    *good: ColumnElement[bool],
) -> Role | None:
    query = select(wanted).where(table.c.id == credential_id, *good)
    if hold:
        # The weakest lock: others who write by the same credential, or note its use, don't wait.
        query = query.with_for_update(read=True, key_share=True)
    found: Role | None = transaction.connection.execute(query).scalar()
    return found


def _role_of(transaction: Transaction, user_id: str) -> Role | None:
    """Give a user's role, as it is once the credential is held; None for the blocked."""
    query = select(users.c.role).where(users.c.id == user_id, users.c.blocked.is_(False))
    found: Role | None = transaction.connection.execute(query).scalar()
    return found

"""Checks again, in a transaction that writes, whether the request's credential is still good.

A request is authenticated before it is handled, and writes later.  So the transaction that writes
checks the credential once more, and locks it: another transaction that ends it, or blocks or
demotes its user, waits for the commit, and then sees the written rows.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, or_, select

from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.schema import api_tokens, users, web_sessions
from tunnelcloud.store.transaction import Transaction

_NOW: BindParameter[Any] = bindparam("now")
_USER_ID: BindParameter[Any] = bindparam("user_id")


def _both(query: Select[Any], credential_id: ColumnElement[str]) -> dict[bool, Prepared]:
    """Make the statements that look for a credential: without holding it, and with."""
    query = query.where(credential_id == bindparam("credential_id"))
    # The weakest lock: others who write by the same credential, or note its use, don't wait.
    held = query.with_for_update(read=True, key_share=True)
    return {False: Prepared(query), True: Prepared(held)}


_API_TOKEN = _both(
    select(api_tokens.c.role).where(
        or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > _NOW),
        api_tokens.c.user_id.is_not_distinct_from(_USER_ID),
    ),
    api_tokens.c.id,
)
_WEB_SESSION = _both(
    select(web_sessions.c.id).where(
        web_sessions.c.expires_at > _NOW, web_sessions.c.user_id == _USER_ID
    ),
    web_sessions.c.id,
)
_ROLE = Prepared(select(users.c.role).where(users.c.id == _USER_ID, users.c.blocked.is_(False)))


def role_by_api_token(
    transaction: Transaction, token_id: str, user_id: str | None, *, hold: bool
) -> Role | None:
    """Return the current role of an API token.

    :param user_id: its user; None for a token of no user.
    :param hold: lock it until the commit.
    :return: the role of its user, or of the token itself; None if it is no longer good.
    """
    given = {"credential_id": token_id, "now": transaction.now(), "user_id": user_id}
    found = _API_TOKEN[hold](transaction.connection, given)
    if not found:
        return None
    role: Role | None = found[0].role
    return role if user_id is None else _role_of(transaction, user_id)


def role_by_web_session(
    transaction: Transaction, session_id: str, user_id: str, *, hold: bool
) -> Role | None:
    """Return the current role of a sign-in to the portal; as :func:`role_by_api_token`."""
    given = {"credential_id": session_id, "now": transaction.now(), "user_id": user_id}
    found = _WEB_SESSION[hold](transaction.connection, given)
    return _role_of(transaction, user_id) if found else None


def wait_for_writers(transaction: Transaction, user_id: str) -> None:
    """Wait for who writes by a credential of a user; from now on they wait for this commit."""
    for table in (api_tokens, web_sessions):
        theirs = select(table.c.id).where(table.c.user_id == user_id).order_by(table.c.id)
        transaction.connection.execute(theirs.with_for_update())


def _role_of(transaction: Transaction, user_id: str) -> Role | None:
    """Give a user's role, as it is once the credential is held; None for the blocked."""
    found = _ROLE(transaction.connection, {"user_id": user_id})
    return found[0].role if found else None

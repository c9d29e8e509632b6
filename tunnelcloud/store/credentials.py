"""Whether a credential that somebody was let in by is still good.

Who asks is told before their request is looked at; what they ask for is written later.  The
transaction that writes asks once more, and holds what it finds: whoever ends the credential, blocks
its user or changes their role meanwhile waits for the commit, and finds what was written.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Table, or_, select

from tunnelcloud.domain.entities import Role
from tunnelcloud.store.schema import api_tokens, users, web_sessions
from tunnelcloud.store.transaction import Transaction


def role_by_api_token(
    transaction: Transaction, token_id: str, user_id: str | None, *, hold: bool
) -> Role | None:
    """Tell what role an API token gives now.

    :param user_id: whose it is; None for a token that is no user's.
    :param hold: hold it until the commit.
    :return: the role of its user, or of the token itself; None when it is good no more.
    """
    now = transaction.now()
    good = or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > now)
    if user_id is not None:
        return _find(
            transaction, _of_user(api_tokens, token_id, user_id, good), hold, api_tokens, users
        )
    query = select(api_tokens.c.role).where(
        api_tokens.c.id == token_id, good, api_tokens.c.user_id.is_(None)
    )
    return _find(transaction, query, hold, api_tokens)


def role_by_web_session(
    transaction: Transaction, session_id: str, user_id: str, *, hold: bool
) -> Role | None:
    """Tell what role a sign-in to the portal gives now; as :func:`role_by_api_token`."""
    good = web_sessions.c.expires_at > transaction.now()
    query = _of_user(web_sessions, session_id, user_id, good)
    return _find(transaction, query, hold, web_sessions, users)


def _of_user(
    table: Table, credential_id: str, user_id: str, good: ColumnElement[bool]
) -> Select[Any]:
    return (
        select(users.c.role)
        .select_from(table.join(users, users.c.id == table.c.user_id))
        .where(table.c.id == credential_id, users.c.id == user_id, users.c.blocked.is_(False), good)
    )


def _find(transaction: Transaction, query: Select[Any], hold: bool, *held: Table) -> Role | None:
    if hold:
        # The weakest lock: others who write by the same credential, or note its use, don't wait.
        query = query.with_for_update(of=held, read=True, key_share=True)
    found: Role | None = transaction.connection.execute(query).scalar()
    return found

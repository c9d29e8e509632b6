"""Checks that a caller still has the rights with which the request began."""

from __future__ import annotations

from http import HTTPStatus

from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import credential_checks
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.problems import Problem, forbidden, unauthorized
from tunnelcloud.web.routes import Caller

_RANKS = {Role.USER: 0, Role.AUDITOR: 1, Role.ADMIN: 2}
"""Each role may do what those below it may."""


def rank(role: Role) -> int:
    """Rank a role by its rights; a role of a newer version has none here."""
    return _RANKS.get(role, -1)


def check_caller(transaction: Transaction, caller: Caller, *, writes: bool) -> None:
    """Refuse a caller who was signed out, blocked or demoted since they were let in.

    :param writes: whether the transaction writes: it holds the right to do so until its commit.
    :raise Problem: 401 or 403.
    """
    role = _role_now(transaction, caller, writes)
    if role is None and caller.api_token_id is not None:
        raise unauthorized("the API token is unknown or has expired")
    if role is None:
        raise Problem(HTTPStatus.FORBIDDEN, "you are signed out: sign in, then do it again")
    if rank(role) < rank(caller.role):
        raise forbidden(f"the role {role} may not do this: your role was lowered")


def _role_now(transaction: Transaction, caller: Caller, hold: bool) -> Role | None:
    token_id, session_id, user_id = caller.api_token_id, caller.web_session_id, caller.user_id
    if token_id is not None:
        return credential_checks.role_by_api_token(transaction, token_id, user_id, hold=hold)
    if session_id is None or user_id is None:
        return None
    return credential_checks.role_by_web_session(transaction, session_id, user_id, hold=hold)

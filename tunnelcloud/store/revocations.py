"""Which parts of a user's access end for which cause: one table, one function.

Everything by which somebody acts as a user is a :class:`Hold`.  A cause ends some of them; they
stay ended, also when the cause is gone.  Rows that refer to a deleted user are deleted with the
user. Keys stay registered: pods let no key of a blocked user in.  Channels end with their SSH
session.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, delete, func, select, update

from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.entities import SessionMethod
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.users import Role, User
from tunnelcloud.store import credential_checks, timed_grants
from tunnelcloud.store.column_types import ENDED
from tunnelcloud.store.schema import (
    api_tokens,
    approval_requests,
    device_logins,
    invitations,
    pods,
    sessions,
    sign_in_steps,
    tokens,
    users,
    web_sessions,
)
from tunnelcloud.store.sessions import SERVED_IT_STOPPED
from tunnelcloud.store.transaction import Transaction

_SILENT = timedelta(seconds=30)
"""Without a sign of life for so long, a pod may soon count as dead."""


class Hold(enum.Enum):
    """A way by which somebody acts, or may come to act, as a user."""

    WEB_SESSIONS = "sign-ins to the portal"
    SIGN_IN_STEPS = "sign-ins that wait for a second factor"
    API_TOKENS = "API tokens that an administrator made"
    COMMAND_LINES = "command lines that are signed in, and API tokens that users made themselves"
    DEVICE_LOGINS = "command lines and SSH logins that were let in and have not used it"
    INVITATIONS = "links to set a password"
    ONE_TIME_TOKENS = "one-time tokens that are not spent"
    SSH_SESSIONS = "SSH sessions that no key opened, with their channels"
    TOKENS_MADE = (
        "API tokens that this user made for no user, or as other administrators and auditors"
    )
    LINKS_MADE = "links to set a password that this user made for others"
    CONFIRMATIONS = "connections that the user confirmed in the portal"
    APPROVALS = "approvals by others, and requests that wait"


class Cause(enum.Enum):
    """Why access ends, in words for the audit."""

    FIRST_PASSWORD = "the user chose a first password"  # noqa: S105  (words, and no password)
    PASSWORD_CHANGED = "the password was changed"  # noqa: S105
    PASSWORD_RESET = "the password was reset by a link"  # noqa: S105
    SECOND_FACTOR_RESET = "an administrator removed the second factor"
    OTHERS_ENDED = "ended from another sign-in"
    BLOCKED = "the user was blocked"
    BECAME_SERVICE = "the user became a service account"
    ROLE_LOWERED = "the user is no administrator any more"
    DELETED = "the user was deleted"
    PROVIDER_ENDED = "a provider that vouched for the user was disabled, deleted or unlinked"


_OF_A_BROWSER = frozenset({Hold.WEB_SESSIONS, Hold.SIGN_IN_STEPS, Hold.INVITATIONS})
# Whoever is signed out now may have been who confirmed.
_SIGNED_IN = frozenset(
    {
        Hold.WEB_SESSIONS,
        Hold.SIGN_IN_STEPS,
        Hold.API_TOKENS,
        Hold.COMMAND_LINES,
        Hold.DEVICE_LOGINS,
        Hold.CONFIRMATIONS,
    }
)
# Secrets that an administrator was shown, and may have kept, that lead to rights over everything.
_GIVEN = frozenset({Hold.TOKENS_MADE, Hold.LINKS_MADE})
_OF_COMMAND_LINES = frozenset({Hold.COMMAND_LINES, Hold.DEVICE_LOGINS})

ENDS: Mapping[Cause, frozenset[Hold]] = {
    # Until now the user came some other way, and somebody else may have come so too.
    Cause.FIRST_PASSWORD: _OF_A_BROWSER | _OF_COMMAND_LINES,
    Cause.PASSWORD_CHANGED: frozenset(Hold) - _GIVEN - {Hold.SSH_SESSIONS, Hold.APPROVALS},
    # Whoever has the link isn't known to be who is connected.
    Cause.PASSWORD_RESET: frozenset(Hold) - _GIVEN - {Hold.APPROVALS},
    Cause.SECOND_FACTOR_RESET: _SIGNED_IN,
    Cause.OTHERS_ENDED: _SIGNED_IN,
    Cause.BLOCKED: frozenset(Hold),
    Cause.BECAME_SERVICE: _OF_A_BROWSER | {Hold.DEVICE_LOGINS, Hold.CONFIRMATIONS} | _GIVEN,
    Cause.ROLE_LOWERED: _GIVEN,
    Cause.DELETED: frozenset(Hold),
    # The sign-ins that the provider vouched for end with it; of a command line it isn't known which
    # sign-in of its user let it in.
    Cause.PROVIDER_ENDED: _OF_COMMAND_LINES,
}
"""What each cause ends; docs/sign-in.md has the same table."""


def end_access(
    transaction: Transaction, user: User, cause: Cause, *, staying: str | None = None
) -> None:
    """End what a cause ends of a user's access, and audit what that was.

    :param staying: the id of the sign-in that does it, and goes on.
    """
    if ENDS[cause] & _GIVEN:
        # Whoever writes by a credential of theirs now may be making one of these.
        credential_checks.wait_for_writers(transaction, user.id)
    ended = {
        hold.value: count
        for hold in sorted(ENDS[cause], key=lambda one: one.name)
        if (count := _ENDERS[hold](transaction, user, cause, staying))
    }
    if ended:
        transaction.audit(
            AuditEvent(
                "user.access_ended",
                user_id=user.id,
                user_name=user.name,
                data={"cause": cause.value, "ended": ended},
            )
        )


def end_command_lines(transaction: Transaction, whose: Select[tuple[str]], cause: Cause) -> None:
    """End the command lines of many users, as ``end_access`` does of one, in a few statements.

    :param whose: selects the users' ids.
    """
    assert ENDS[cause] == _OF_COMMAND_LINES, "nothing else of theirs is ended here"
    locking = select(users.c.id, users.c.name).where(users.c.id.in_(whose)).order_by(users.c.id)
    names = {row.id: row.name for row in transaction.connection.execute(locking.with_for_update())}
    tokens_ended = (
        delete(api_tokens)
        .where(api_tokens.c.user_id.in_(whose), api_tokens.c.made_by_id == api_tokens.c.user_id)
        .returning(api_tokens.c.user_id)
    )
    logins_denied = (
        update(device_logins)
        .where(device_logins.c.user_id.in_(whose), device_logins.c.denied.is_(False))
        .values(denied=True)
        .returning(device_logins.c.user_id)
    )
    counts: dict[str, dict[str, int]] = {}
    # In this order: which users are meant may be told by what is deleted here.
    for hold, ending in ((Hold.DEVICE_LOGINS, logins_denied), (Hold.COMMAND_LINES, tokens_ended)):
        for user_id in transaction.connection.execute(ending).scalars().all():
            of_user = counts.setdefault(user_id, {})
            of_user[hold.value] = of_user.get(hold.value, 0) + 1
    transaction.audit_all(
        [
            AuditEvent(
                "user.access_ended",
                user_id=user_id,
                user_name=names[user_id],
                data={"cause": cause.value, "ended": ended},
            )
            for user_id, ended in sorted(counts.items())
            if user_id in names
        ]
    )


def with_access(transaction: Transaction) -> frozenset[str]:
    """Name the users of whom there may be something to end."""
    return frozenset(
        user_id
        for owner in _OWNERS.values()
        for user_id in transaction.connection.execute(select(owner).distinct()).scalars()
        if user_id is not None
    )


def _end_web_sessions(transaction: Transaction, user: User, _: Cause, staying: str | None) -> int:
    table = web_sessions
    query = delete(table).where(table.c.user_id == user.id, table.c.id.is_distinct_from(staying))
    return transaction.connection.execute(query).rowcount


def _delete_from(table: Table) -> Callable[..., int]:
    def ender(transaction: Transaction, user: User, *_: Any) -> int:
        query = delete(table).where(table.c.user_id == user.id)
        return transaction.connection.execute(query).rowcount

    return ender


def _end_api_tokens(transaction: Transaction, user: User, *_: Any) -> int:
    table = api_tokens
    query = delete(table).where(
        table.c.user_id == user.id, table.c.made_by_id.is_distinct_from(user.id)
    )
    return transaction.connection.execute(query).rowcount


def _end_command_lines(transaction: Transaction, user: User, *_: Any) -> int:
    """End the API tokens that a user made, or let a command line have."""
    table = api_tokens
    query = delete(table).where(table.c.user_id == user.id, table.c.made_by_id == user.id)
    return transaction.connection.execute(query).rowcount


def _deny_device_logins(transaction: Transaction, user: User, *_: Any) -> int:
    """Deny them, so that a command line which waits is told so."""
    table = device_logins
    query = update(table).where(table.c.user_id == user.id, table.c.denied.is_(False))
    return transaction.connection.execute(query.values(denied=True)).rowcount


def _end_links(column: Column[str]) -> Callable[..., int]:
    """Make what ends the links that have a user in a column."""

    def ender(transaction: Transaction, user: User, *_: Any) -> int:
        table = invitations
        links = column == user.id, table.c.redeemed_at.is_(None)
        good = select(func.count()).where(*links, table.c.expires_at > transaction.now())
        count: int = transaction.connection.execute(good).scalar_one()
        # Also those that have expired: they might not have, once the clock has gone back.
        transaction.connection.execute(update(table).where(*links).values(expires_at=ENDED))
        return count

    return ender


def _revoke_tokens(transaction: Transaction, user: User, *_: Any) -> int:
    """Revoke those that are good, and say how many; and the expired ones: the clock may go back."""
    now = transaction.now()
    query = (
        update(tokens)
        .where(
            tokens.c.user_id == user.id,
            tokens.c.revoked_at.is_(None),
            tokens.c.sessions_used < tokens.c.sessions,
        )
        .values(revoked_at=now)
        .returning(tokens.c.expires_at)
    )
    revoked = transaction.connection.execute(query).scalars()
    return sum(expires_at > now for expires_at in revoked)


def _end_ssh_sessions(transaction: Transaction, user: User, cause: Cause, *_: Any) -> int:
    """Ask the pods that serve them, also those that are cut off, and may come back."""
    asked = _ask_to_end(transaction, user, cause, sessions.c.ended_at.is_(None))
    silent = select(pods.c.id).where(
        pods.c.stopped_at.is_(None), pods.c.last_seen_at < transaction.now() - _SILENT
    )
    cut_off = transaction.connection.execute(silent).scalars().all()
    if cut_off:
        closed = sessions.c.pod_id.in_(cut_off) & (sessions.c.end_reason == SERVED_IT_STOPPED)
        asked += _ask_to_end(transaction, user, cause, closed)
    return asked


def _ask_to_end(
    transaction: Transaction, user: User, cause: Cause, which: ColumnElement[bool]
) -> int:
    query = (
        update(sessions)
        .where(
            sessions.c.user_id == user.id,
            sessions.c.end_requested.is_(None),
            sessions.c.method != SessionMethod.KEY,
            which,
        )
        .values(end_requested=cause.value)
        .returning(sessions.c.id)
    )
    asked = transaction.connection.execute(query).scalars().all()
    for session_id in asked:
        transaction.changed("session", session_id)
    return len(asked)


def _end_tokens_made(transaction: Transaction, user: User, *_: Any) -> int:
    table = api_tokens
    # What a service account does is meant to go on without whoever set it up.
    people = select(users.c.id).where(users.c.service.is_(False), users.c.id != user.id)
    of_people = table.c.user_id.in_(people) & (table.c.role != Role.USER)
    query = delete(table).where(
        table.c.made_by_id == user.id, table.c.user_id.is_(None) | of_people
    )
    return transaction.connection.execute(query).rowcount


def _end_confirmations(transaction: Transaction, user: User, *_: Any) -> int:
    return timed_grants.end_all(transaction, user.id, Approval.SELF)


def _end_approvals(transaction: Transaction, user: User, *_: Any) -> int:
    table = approval_requests
    query = update(table).where(table.c.user_id == user.id, table.c.status == RequestStatus.PENDING)
    over = query.values(status=RequestStatus.EXPIRED, waits_as=None).returning(table.c.id)
    requests = transaction.connection.execute(over).scalars().all()
    for request_id in requests:
        transaction.changed("request", request_id)
    return len(requests) + timed_grants.end_all(transaction, user.id, Approval.OTHERS)


_ENDERS: Mapping[Hold, Callable[[Transaction, User, Cause, str | None], int]] = {
    Hold.WEB_SESSIONS: _end_web_sessions,
    Hold.SIGN_IN_STEPS: _delete_from(sign_in_steps),
    Hold.API_TOKENS: _end_api_tokens,
    Hold.COMMAND_LINES: _end_command_lines,
    Hold.DEVICE_LOGINS: _deny_device_logins,
    Hold.INVITATIONS: _end_links(invitations.c.user_id),
    Hold.ONE_TIME_TOKENS: _revoke_tokens,
    Hold.SSH_SESSIONS: _end_ssh_sessions,
    Hold.TOKENS_MADE: _end_tokens_made,
    Hold.LINKS_MADE: _end_links(invitations.c.made_by_id),
    Hold.CONFIRMATIONS: _end_confirmations,
    Hold.APPROVALS: _end_approvals,
}

_OWNERS: Mapping[Hold, Column[str]] = {
    Hold.WEB_SESSIONS: web_sessions.c.user_id,
    Hold.SIGN_IN_STEPS: sign_in_steps.c.user_id,
    Hold.API_TOKENS: api_tokens.c.user_id,
    Hold.COMMAND_LINES: api_tokens.c.user_id,
    Hold.DEVICE_LOGINS: device_logins.c.user_id,
    Hold.INVITATIONS: invitations.c.user_id,
    Hold.ONE_TIME_TOKENS: tokens.c.user_id,
    Hold.SSH_SESSIONS: sessions.c.user_id,
    Hold.TOKENS_MADE: api_tokens.c.made_by_id,
    Hold.LINKS_MADE: invitations.c.made_by_id,
}
"""Where it is kept whose a hold is."""

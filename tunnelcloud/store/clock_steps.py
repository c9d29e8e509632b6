"""Ends what was made while the clock was ahead, once it has gone back.

What lasts for a time from when it was made would last longer by as much as the clock went back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Delete, Update, delete, func, update

from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store.column_types import ENDED
from tunnelcloud.store.schema import (
    api_tokens,
    approval_requests,
    device_logins,
    invitations,
    join_tokens,
    sign_in_steps,
    timed_grants,
    tokens,
    web_sessions,
)
from tunnelcloud.store.transaction import Transaction

LEEWAY = timedelta(minutes=5)
"""Clocks are set back by less in ordinary times, and little lasts too long by it."""


def end_what_is_to_come(transaction: Transaction) -> int:
    """End sign-ins, command lines, links, tokens, requests and grants that a later time has made.

    :return: how many.
    """
    now = transaction.now()
    to_come = now + LEEWAY
    begun = func.coalesce(timed_grants.c.renewed_at, timed_grants.c.starts_at)
    ended: dict[str, int] = {}
    statements: Mapping[str, Update | Delete] = {
        "sign-ins": delete(web_sessions).where(
            (web_sessions.c.created_at > to_come) | (web_sessions.c.last_seen_at > to_come)
        ),
        # What administrators create ends on a date that they chose, or never.
        "command lines": delete(api_tokens).where(
            api_tokens.c.created_at > to_come,
            api_tokens.c.expires_at > to_come,
            api_tokens.c.made_by_id == api_tokens.c.user_id,
        ),
        "sign-ins that wait for a code": delete(sign_in_steps).where(
            sign_in_steps.c.created_at > to_come
        ),
        "logins that wait for a browser": delete(device_logins).where(
            device_logins.c.created_at > to_come
        ),
        "links to set a password": _expired(invitations, invitations.c.created_at > to_come),
        "join tokens": _expired(join_tokens, join_tokens.c.created_at > to_come),
        "one-time tokens": update(tokens)
        .where(
            tokens.c.created_at > to_come,
            tokens.c.expires_at > to_come,  # which is indexed
            tokens.c.revoked_at.is_(None),
            tokens.c.sessions_used < tokens.c.sessions,
        )
        .values(revoked_at=now),
        "requests": update(approval_requests)
        .where(
            approval_requests.c.status == RequestStatus.PENDING,
            approval_requests.c.created_at > to_come,
            approval_requests.c.expires_at > to_come,
        )
        .values(status=RequestStatus.EXPIRED, waits_as=None),
    }
    for what, statement in statements.items():
        ended[what] = transaction.connection.execute(statement).rowcount
    grants = (
        update(timed_grants)
        .where(timed_grants.c.ended_at.is_(None), timed_grants.c.ends_at > now, begun > to_come)
        .values(ended_at=now)
        .returning(timed_grants.c.id, timed_grants.c.user_id)
    )
    found = transaction.connection.execute(grants).all()
    for grant_id, user_id in found:
        transaction.changed("grant", grant_id, concerns=(user_id,))
    ended["grants"] = len(found)
    shown = {what: count for what, count in ended.items() if count}
    if shown:
        transaction.audit(AuditEvent("clock.went_back", data={"ended": shown}))
    return sum(shown.values())


def _expired(table: Any, which: ColumnElement[bool]) -> Update:
    return (
        update(table)
        .where(which, table.c.redeemed_at.is_(None), table.c.expires_at > ENDED)
        .values(expires_at=ENDED)
    )

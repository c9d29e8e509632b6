"""Users' links with accounts at identity providers, as administrators see and set them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import Select, delete, insert, select

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import identity_providers, users, web_sessions
from tunnelcloud.store.errors import Conflict, InvalidReference, NotFound
from tunnelcloud.store.revocations import Cause, end_access
from tunnelcloud.store.schema import identities as table
from tunnelcloud.store.schema import identity_providers as providers
from tunnelcloud.store.transaction import Transaction

MOST = 200


@frozen
class Identity:
    """Who a user is at a provider.

    :ivar subject: what the provider calls them: it never changes there.
    """

    identity_provider_id: str
    provider_name: str
    subject: str
    created_at: datetime
    last_used_at: datetime


def _query(user_id: str) -> Select[Any]:
    one = table.c
    return (
        select(one.provider_id, providers.c.name, one.subject, one.created_at, one.last_used_at)
        .join(providers, providers.c.id == one.provider_id)
        .where(one.user_id == user_id)
        .order_by(providers.c.name, one.subject)
        .limit(MOST)
    )


def list_of(transaction: Transaction, user_id: str) -> list[Identity]:
    """List who a user is at which providers.

    :raise NotFound: there is no such user.
    """
    users.get(transaction, user_id)
    return [Identity(*row) for row in transaction.connection.execute(_query(user_id))]


def link(transaction: Transaction, user_id: str, provider_id: str, subject: str) -> Identity:
    """Link somebody's account at a provider with a user.

    :raise NotFound: there is no such user.
    :raise InvalidReference: there is no such provider.
    :raise Conflict: that is somebody already, or the user is a service account.
    """
    user = users.get(transaction, user_id)
    if user.service:
        raise Conflict("", f"{user.name} is a service account: it comes through no provider")
    try:
        provider = identity_providers.get(transaction, provider_id)
    except NotFound:
        raise InvalidReference("identity_provider_id", "identity_provider", provider_id) from None
    theirs = (table.c.provider_id == provider_id) & (table.c.subject == subject)
    taken = transaction.connection.execute(select(table.c.user_id).where(theirs)).scalar()
    if taken is not None:
        other = users.get(transaction, taken)
        raise Conflict("subject", f"that is user {other.name} already: unlink them first")
    now = transaction.now()
    row = {"provider_id": provider_id, "subject": subject, "user_id": user_id}
    transaction.connection.execute(insert(table), {**row, "created_at": now, "last_used_at": now})
    _audit(transaction, "linked", user_id, provider.name, subject, by="administrator")
    return Identity(provider_id, provider.name, subject, now, now)


def unlink(transaction: Transaction, user_id: str, provider_id: str) -> None:
    """Remove a user's link with a provider; sign-ins through it end.

    The user's command lines are signed out as well: they may have been let in by who came so.

    :raise NotFound: they aren't linked.
    """
    linked = [one for one in list_of(transaction, user_id)
              if one.identity_provider_id == provider_id]  # fmt: skip
    if not linked:
        raise NotFound("identity", provider_id)
    user = users.USERS.lock(transaction, user_id)
    theirs = (table.c.provider_id == provider_id) & (table.c.user_id == user_id)
    transaction.connection.execute(delete(table).where(theirs))
    web_sessions.end_through(
        transaction, provider_id, reason="the identity was unlinked", user_id=user_id
    )
    end_access(transaction, user, Cause.PROVIDER_ENDED)
    for one in linked:
        _audit(transaction, "unlinked", user_id, one.provider_name, one.subject)


def _audit(
    transaction: Transaction, verb: str, user_id: str, provider: str, subject: str, **more: str
) -> None:
    user = users.get(transaction, user_id)
    data = {"provider": provider, "subject": subject, **more}
    transaction.audit(
        AuditEvent(f"identity.{verb}", user_id=user.id, user_name=user.name, data=data)
    )

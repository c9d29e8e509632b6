"""The permissions that approvals gave, each for a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve
from sqlalchemy import ColumnElement, insert, update

from tunnelcloud.domain.approvals import ApprovalRequest, TimedGrant
from tunnelcloud.domain.entities import User
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects import Approval
from tunnelcloud.store.filters import equals
from tunnelcloud.store.listing import Listing
from tunnelcloud.store.paging import ListPage
from tunnelcloud.store.schema import timed_grants as table
from tunnelcloud.store.schema import tunnels, users
from tunnelcloud.store.transaction import Transaction

NAMES = {"user_name": users.c.name, "tunnel_name": tunnels.c.name}

GRANTS = Listing(
    "grant",
    table,
    TimedGrant,
    joined=NAMES,
    source=table.join(users).join(tunnels),
    filters={"user_id": equals(table.c.user_id), "tunnel_id": equals(table.c.tunnel_id)},
)

get = GRANTS.get


def list_page(
    transaction: Transaction, *, live: bool | None = None, **wanted: Any
) -> ListPage[TimedGrant]:
    """List grants; the parameters are those of ``Listing.list_page``.

    :param live: only those in force, or only the others; a page may have fewer then.
    """
    page = GRANTS.list_page(transaction, **wanted)
    if live is None:
        return page
    now = transaction.now()
    kept = (one for one in page.items if (one.ended_at is None and one.ends_at > now) is live)
    return evolve(page, items=tuple(kept))


def make(transaction: Transaction, request: ApprovalRequest, by: User) -> TimedGrant:
    """Grant what a request asks for, from now on.

    :param by: who allows it.
    """
    now = transaction.now()
    grant_id = transaction.new_id("grant")
    transaction.connection.execute(
        insert(table),
        {
            "id": grant_id,
            "created_at": now,
            "user_id": request.user_id,
            "tunnel_id": request.tunnel_id,
            "policy_id": request.policy_id,
            "approval": request.approval,
            "reason": request.reason,
            "source_ip": request.source_ip if request.approval is Approval.SELF else None,
            "starts_at": now,
            "ends_at": now + timedelta(seconds=request.seconds),
            "request_id": request.id,
            "allowed_by_id": by.id,
            "allowed_by": by.name,
        },
    )
    transaction.changed("grant", grant_id, concerns=(request.user_id,))
    return GRANTS.get(transaction, grant_id)


def end(transaction: Transaction, grant_id: str) -> TimedGrant:
    """End a grant now; without effect on one that has ended.

    :raise NotFound: there is no such grant.
    """
    ended = _end(transaction, table.c.id == grant_id)
    grant = GRANTS.get(transaction, grant_id)
    if ended:
        transaction.audit(
            AuditEvent(
                "grant.ended",
                user_id=grant.user_id,
                user_name=grant.user_name,
                tunnel_id=grant.tunnel_id,
                tunnel_name=grant.tunnel_name,
                data={"grant_id": grant.id},
            )
        )
    return grant


def end_all(transaction: Transaction, user_id: str, approval: Approval) -> int:
    """End a user's grants of one kind; say how many."""
    return _end(transaction, table.c.user_id == user_id, table.c.approval == approval)


def live(transaction: Transaction, user_ids: Iterable[str]) -> Mapping[str, tuple[TimedGrant, ...]]:
    """Read the grants of some users that have neither ended nor been ended."""
    query = GRANTS.select().where(table.c.user_id.in_(set(user_ids)), *_in_force(transaction.now()))
    found: dict[str, list[TimedGrant]] = {}
    for row in transaction.connection.execute(query):
        grant = GRANTS.make(row)
        found.setdefault(grant.user_id, []).append(grant)
    return {user_id: tuple(grants) for user_id, grants in found.items()}


def _in_force(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return table.c.ended_at.is_(None), table.c.ends_at > now


def _end(transaction: Transaction, *which: ColumnElement[bool]) -> int:
    now = transaction.now()
    query = (
        update(table)
        .where(*which, *_in_force(now))
        .values(ended_at=now)
        .returning(table.c.id, table.c.user_id)
    )
    ended = transaction.connection.execute(query).all()
    for grant_id, user_id in ended:
        transaction.changed("grant", grant_id, concerns=(user_id,))
    return len(ended)

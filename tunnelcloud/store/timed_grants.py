"""The permissions that approvals gave, each for a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve
from sqlalchemy import ColumnElement, and_, insert, or_, select, update

from tunnelcloud.domain.approvals import ApprovalRequest, TimedGrant
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.policies import Approval, Policy
from tunnelcloud.domain.objects.users import User
from tunnelcloud.store.filters import equals, groups_of
from tunnelcloud.store.object_reads import Listing
from tunnelcloud.store.paging import ListPage
from tunnelcloud.store.schema import policies, tunnels, users
from tunnelcloud.store.schema import timed_grants as table
from tunnelcloud.store.transaction import Transaction

NAMES = {"user_name": users.c.name, "tunnel_name": tunnels.c.name}


def reviewable_by(user_id: str) -> ColumnElement[bool]:
    """Which emergencies a user may review as one of the approvers; never their own."""
    theirs = select(policies.c.id).where(policies.c.approvers_id.in_(groups_of(user_id)))
    return and_(
        table.c.emergency.is_(True), table.c.user_id != user_id, table.c.policy_id.in_(theirs)
    )


def _concerning(user_id: str) -> ColumnElement[bool]:
    return or_(table.c.user_id == user_id, reviewable_by(user_id))


def unreviewed(wanted: object) -> ColumnElement[bool]:
    """Make a condition for emergencies that nobody has reviewed, or for all other grants."""
    waits = and_(table.c.emergency.is_(True), table.c.reviewed_at.is_(None))
    return waits if wanted else ~waits


GRANTS = Listing(
    "grant",
    table,
    TimedGrant,
    joined=NAMES,
    source=table.join(users).join(tunnels),
    filters={
        "user_id": equals(table.c.user_id),
        "tunnel_id": equals(table.c.tunnel_id),
        "concerning": _concerning,
        "unreviewed": unreviewed,
    },
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


def make(transaction: Transaction, request: ApprovalRequest, by: User, seconds: int) -> TimedGrant:
    """Grant what a request asks for, from now on.

    :param by: who allows it.
    :param seconds: for how long.
    """
    return add(
        transaction,
        seconds,
        user_id=request.user_id,
        tunnel_id=request.tunnel_id,
        policy_id=request.policy_id,
        approval=request.approval,
        reason=request.reason,
        source_ip=request.source_ip if request.approval is Approval.SELF else None,
        request_id=request.id,
        allowed_by_id=by.id,
        allowed_by=by.name,
    )


def add(transaction: Transaction, seconds: int, **values: Any) -> TimedGrant:
    """Write a grant from now on.

    :param seconds: for how long.
    :param values: what else it has.
    """
    now = transaction.now()
    grant_id = transaction.new_id("grant")
    lasts = {"created_at": now, "starts_at": now, "ends_at": now + timedelta(seconds=seconds)}
    transaction.connection.execute(insert(table), {"id": grant_id, **lasts, **values})
    transaction.changed("grant", grant_id, concerns=(values["user_id"],))
    return GRANTS.get(transaction, grant_id)


def renew(
    transaction: Transaction, request: ApprovalRequest, by: User, seconds: int
) -> TimedGrant | None:
    """Prolong the grant that a request is about; None if there is none, or it is over.

    :param by: who allows it.
    :param seconds: for how long, from now on; it is never made shorter.
    """
    now = transaction.now()
    query = GRANTS.select().where(table.c.id == request.renews_id, *_in_force(now))
    row = transaction.connection.execute(query).first()
    if row is None:
        return None
    grant = GRANTS.make(row)
    values = {
        "ends_at": max(grant.ends_at, now + timedelta(seconds=seconds)),
        "renewed_at": now,
        "allowed_by_id": by.id,
        "allowed_by": by.name,
    }
    transaction.connection.execute(update(table).where(table.c.id == grant.id).values(values))
    transaction.changed("grant", grant.id, concerns=(grant.user_id,))
    return GRANTS.get(transaction, grant.id)


def in_force(
    transaction: Transaction, user_id: str, tunnel_id: str, policy: Policy
) -> TimedGrant | None:
    """Give a user's grant for a tunnel by a policy, the one that lasts longest; None if none is."""
    query = (
        GRANTS.select()
        .where(
            table.c.user_id == user_id,
            table.c.tunnel_id == tunnel_id,
            table.c.policy_id == policy.id,
            table.c.approval == policy.approval,
            *_in_force(transaction.now()),
        )
        .order_by(table.c.ends_at.desc())
        .limit(1)
    )
    row = transaction.connection.execute(query).first()
    return None if row is None else GRANTS.make(row)


def narrow(transaction: Transaction, policy: Policy) -> None:
    """Let the grants of a policy that has changed last no longer than it says now."""
    query = GRANTS.select().where(table.c.policy_id == policy.id, *_in_force(transaction.now()))
    for row in transaction.connection.execute(query).all():
        grant = GRANTS.make(row)
        ends_at = grant.narrowed(policy).ends_at
        if ends_at < grant.ends_at:
            shorter = update(table).where(table.c.id == grant.id).values(ends_at=ends_at)
            transaction.connection.execute(shorter)
            transaction.changed("grant", grant.id, concerns=(grant.user_id,))


def may_review(transaction: Transaction, grant_id: str, user_id: str) -> bool:
    """Tell whether a user may review an emergency as one of the approvers."""
    query = select(table.c.id).where(table.c.id == grant_id, reviewable_by(user_id))
    return transaction.connection.execute(query).first() is not None


def end(transaction: Transaction, grant_id: str) -> TimedGrant:
    """End a grant now; without effect on one that has ended.

    :raise NotFound: there is no such grant.
    """
    ended = _end(transaction, table.c.id == grant_id)
    grant = GRANTS.get(transaction, grant_id)
    if ended:
        record(transaction, "grant.ended", grant)
    return grant


def record(
    transaction: Transaction, event: str, grant: TimedGrant, source_ip: str = "", **data: Any
) -> None:
    """Record what was done with a grant."""
    transaction.audit(
        AuditEvent(
            event,
            user_id=grant.user_id,
            user_name=grant.user_name,
            tunnel_id=grant.tunnel_id,
            tunnel_name=grant.tunnel_name,
            source_ip=source_ip or None,
            data={"grant_id": grant.id, **data},
        )
    )


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

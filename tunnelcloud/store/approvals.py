"""Requests for an approval, and what became of them.

Of several requests for the same, one alone waits: ``waits_as`` says what makes them the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve
from sqlalchemy import ColumnElement, and_, insert, or_, select
from sqlalchemy import update as update_rows

from tunnelcloud.domain.approvals import (
    REPEAT_SECONDS,
    REQUEST_SECONDS,
    ApprovalRequest,
    RequestStatus,
    TimedGrant,
)
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.policies import Approval, Policy
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import User
from tunnelcloud.store import identities, timed_grants
from tunnelcloud.store import policies as policies_of_store
from tunnelcloud.store.errors import Conflict, NotFound
from tunnelcloud.store.filters import equals, groups_of
from tunnelcloud.store.object_limits import MOST_REQUESTS, check_room
from tunnelcloud.store.object_reads import Listing
from tunnelcloud.store.paging import ListPage
from tunnelcloud.store.schema import approval_requests, policies, tunnels, users
from tunnelcloud.store.timed_grants import NAMES
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.users import lock_unblocked


def decidable_by(user_id: str) -> ColumnElement[bool]:
    """The requests that a user may decide: others' as an approver, their own in the portal."""
    return or_(
        and_(
            approval_requests.c.approval == Approval.OTHERS,
            approval_requests.c.user_id != user_id,
            policies.c.approvers_id.in_(groups_of(user_id)),
        ),
        and_(
            approval_requests.c.approval == Approval.SELF,
            approval_requests.c.user_id == user_id,
        ),
    )


def _concerning(user_id: str) -> ColumnElement[bool]:
    return or_(approval_requests.c.user_id == user_id, decidable_by(user_id))


REQUESTS = Listing(
    "request",
    approval_requests,
    ApprovalRequest,
    joined={**NAMES, "approvers_id": policies.c.approvers_id},
    source=approval_requests.join(users).join(tunnels).join(policies),
    filters={
        "user_id": equals(approval_requests.c.user_id),
        "tunnel_id": equals(approval_requests.c.tunnel_id),
        "status": equals(approval_requests.c.status),
        "concerning": _concerning,
        "decidable_by": decidable_by,
    },
)


def get(transaction: Transaction, request_id: str) -> ApprovalRequest:
    """Read a request.

    :raise NotFound: there is none with this id.
    """
    return _as_of(REQUESTS.get(transaction, request_id), transaction.now())


def list_requests(transaction: Transaction, **wanted: Any) -> ListPage[ApprovalRequest]:
    """List requests; the parameters are those of ``Listing.list_page``."""
    page = REQUESTS.list_page(transaction, **wanted)
    now = transaction.now()
    return evolve(page, items=tuple(_as_of(one, now) for one in page.items))


def _as_of(request: ApprovalRequest, now: datetime) -> ApprovalRequest:
    """Say of a request that has waited for too long that it is over."""
    if request.status is RequestStatus.PENDING and request.expires_at <= now:
        return evolve(request, status=RequestStatus.EXPIRED)
    return request


def ask(
    transaction: Transaction,
    user: User,
    tunnel: Tunnel,
    policy: Policy,
    *,
    source_ip: str,
    client: str = "",
    session_id: str | None = None,
    seconds: int | None = None,
    reason: str = "",
) -> ApprovalRequest:
    """Ask for an approval, or join the request that waits for the same already.

    A refusal of a moment ago is given again, so that a program that tries again asks nobody.  While
    a grant that others approved is in force, the request asks to prolong it.

    :param seconds: how long the grant is to last; at most, and by default, what the policy says.
    :raise Conflict: the user is blocked, or has as many requests as one may have.
    """
    now = transaction.now()
    source = source_ip if policy.approval is Approval.SELF else ""
    waits_as = " ".join([user.id, tunnel.id, policy.id, source])
    lock_unblocked(transaction, user.id)  # of two at once the second finds the first one's request
    _expire(transaction, now)
    expires_at = now + timedelta(seconds=REQUEST_SECONDS)
    table = approval_requests
    renews_id = _renews(transaction, user, tunnel, policy)
    again = transaction.connection.execute(
        update_rows(table)
        .where(table.c.waits_as == waits_as)
        .values(expires_at=expires_at, renews_id=renews_id)
        .returning(table.c.id)
    ).scalar()
    if again is None:
        again = _refused_lately(transaction, user, tunnel, policy, now)
    if again is not None:
        return REQUESTS.get(transaction, again)
    waiting = table.c.user_id == user.id, table.c.status == RequestStatus.PENDING
    what = "requests that wait: have them decided, or wait until they expire"
    check_room(transaction, table, MOST_REQUESTS, *waiting, what=what)
    request_id = transaction.new_id("request")
    most = policy.approval_seconds
    transaction.connection.execute(
        insert(table),
        {
            "id": request_id,
            "created_at": now,
            "user_id": user.id,
            "tunnel_id": tunnel.id,
            "policy_id": policy.id,
            "approval": policy.approval,
            "reason": reason,
            "source_ip": source_ip,
            "client": client,
            "session_id": session_id,
            "seconds": min(seconds or most, most),
            "status": RequestStatus.PENDING,
            "expires_at": expires_at,
            "decided_by": "",
            "answer": "",
            "renews_id": renews_id,
            "waits_as": waits_as,
        },
    )
    request = REQUESTS.get(transaction, request_id)
    asked = {"reason": reason, "seconds": request.seconds, "approval": str(policy.approval)}
    renews = {} if renews_id is None else {"renews": renews_id}
    _record(transaction, "request.created", request, {**asked, **renews})
    return request


def _renews(transaction: Transaction, user: User, tunnel: Tunnel, policy: Policy) -> str | None:
    if policy.approval is not Approval.OTHERS:
        return None
    grant = timed_grants.in_force(transaction, user.id, tunnel.id, policy)
    return None if grant is None else grant.id


def _refused_lately(
    transaction: Transaction, user: User, tunnel: Tunnel, policy: Policy, now: datetime
) -> str | None:
    table, lately = approval_requests, timedelta(seconds=REPEAT_SECONDS)
    query = (
        select(table.c.id)
        .where(
            table.c.user_id == user.id,
            table.c.tunnel_id == tunnel.id,
            table.c.policy_id == policy.id,
            table.c.status == RequestStatus.REFUSED,
            # One from later was decided before the clock went back.
            table.c.decided_at > now - lately,
            table.c.decided_at < now + lately,
        )
        .order_by(table.c.id.desc())
    )
    found: str | None = transaction.connection.execute(query).scalar()
    return found


def approve(transaction: Transaction, request_id: str, by: User, *, answer: str = "") -> TimedGrant:
    """Allow what a request asks for, as long as its policy lets it now.

    :param by: one who may, as :func:`may_decide` says.
    :raise Conflict: it doesn't wait any more, or the user it is for is blocked.
    """
    lock_unblocked(transaction, REQUESTS.get(transaction, request_id).user_id)
    request = _decide(transaction, request_id, by, RequestStatus.APPROVED, answer)
    most = policies_of_store.hold(transaction, request.policy_id).approval_seconds
    seconds = min(request.seconds, most)
    renewed = timed_grants.renew(transaction, request, by, seconds)
    grant = renewed or timed_grants.make(transaction, request, by, seconds)
    renews = {} if renewed is None else {"renews": renewed.id}
    same = identities.shared_provider(transaction, by.id, request.user_id)
    shown = {"same_person_at": same} if same else {}
    allowed = {"answer": answer, "grant_id": grant.id, **renews, **shown}
    _record(transaction, "request.approved", request, allowed)
    return grant


def refuse(
    transaction: Transaction, request_id: str, by: User, *, answer: str = ""
) -> ApprovalRequest:
    """Refuse what a request asks for; as :func:`approve`."""
    request = _decide(transaction, request_id, by, RequestStatus.REFUSED, answer)
    _record(transaction, "request.refused", request, {"answer": answer})
    return request


def may_decide(transaction: Transaction, request_id: str, user_id: str) -> bool:
    """Tell whether a request is for this user to decide."""
    query = (
        select(approval_requests.c.id)
        .select_from(approval_requests.join(policies))
        .where(approval_requests.c.id == request_id, decidable_by(user_id))
    )
    return transaction.connection.execute(query).first() is not None


def get_concerning(transaction: Transaction, request_id: str, user_id: str) -> ApprovalRequest:
    """Read a request that is a user's own, or theirs to decide.

    :raise NotFound: there is no such request, as far as this user may know.
    """
    query = REQUESTS.select().where(approval_requests.c.id == request_id, _concerning(user_id))
    row = None if "\x00" in request_id else transaction.connection.execute(query).first()
    if row is None:
        raise NotFound("request", request_id)
    return _as_of(REQUESTS.make(row), transaction.now())


def answers(transaction: Transaction, request_ids: Iterable[str]) -> list[ApprovalRequest]:
    """Read what has become of some requests."""
    query = REQUESTS.select().where(approval_requests.c.id.in_(set(request_ids)))
    return [REQUESTS.make(row) for row in transaction.connection.execute(query)]


def _decide(
    transaction: Transaction, request_id: str, by: User, status: RequestStatus, answer: str
) -> ApprovalRequest:
    now = transaction.now()
    table = approval_requests
    decided = transaction.connection.execute(
        update_rows(table)
        .where(
            table.c.id == request_id,
            table.c.status == RequestStatus.PENDING,
            table.c.expires_at > now,
        )
        .values(
            status=status,
            decided_at=now,
            decided_by_id=by.id,
            decided_by=by.name,
            answer=answer,
            waits_as=None,
        )
    )
    request = REQUESTS.get(transaction, request_id)
    if not decided.rowcount:
        raise Conflict("", _why_over(request))
    transaction.changed("request", request_id)
    return request


def _why_over(request: ApprovalRequest) -> str:
    if request.status in (RequestStatus.APPROVED, RequestStatus.REFUSED):
        return f"{request.decided_by} has {request.status} this request already"
    return "this request has expired: the next connection asks anew"


def _expire(transaction: Transaction, now: datetime) -> None:
    table = approval_requests
    transaction.connection.execute(
        update_rows(table)
        .where(table.c.status == RequestStatus.PENDING, table.c.expires_at <= now)
        .values(status=RequestStatus.EXPIRED, waits_as=None)
    )


def _record(
    transaction: Transaction, event: str, request: ApprovalRequest, data: Mapping[str, Any]
) -> None:
    transaction.audit(
        AuditEvent(
            event,
            user_id=request.user_id,
            user_name=request.user_name,
            tunnel_id=request.tunnel_id,
            tunnel_name=request.tunnel_name,
            session_id=request.session_id,
            source_ip=request.source_ip,
            data={"request_id": request.id, **data},
        )
    )

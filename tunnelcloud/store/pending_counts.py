"""Counts what waits for a user's answer: requests to decide, and emergencies to review."""

from __future__ import annotations

from attrs import frozen
from sqlalchemy import func, select

from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.objects.users import Role, User
from tunnelcloud.store import approvals, timed_grants
from tunnelcloud.store.schema import approval_requests, group_members, policies
from tunnelcloud.store.schema import timed_grants as grants
from tunnelcloud.store.transaction import Transaction


@frozen
class Waiting:
    """What waits for a user.

    :ivar count: how many requests they may decide, and emergencies they may review.
    :ivar is_approver: whether requests and emergencies of others may come to them.
    """

    count: int
    is_approver: bool


NOTHING = Waiting(0, is_approver=False)


def waiting_for(transaction: Transaction, user: User) -> Waiting:
    """Count what waits for a user.  Every page asks this, so it reads no more than it has to."""
    approved = select(policies.c.id).join(
        group_members, group_members.c.group_id == policies.c.approvers_id
    )
    asked = (
        select(func.count())
        .select_from(approval_requests.join(policies))
        .where(
            approval_requests.c.status == RequestStatus.PENDING,
            approval_requests.c.expires_at > transaction.now(),
            approvals.decidable_by(user.id),
        )
    )
    is_approver = approved.where(group_members.c.user_id == user.id).exists()
    query = select(asked.scalar_subquery(), is_approver)
    requests, approver = transaction.connection.execute(query).one()
    if not approver and user.role is not Role.ADMIN:
        return Waiting(requests, is_approver=False)
    return Waiting(requests + _emergencies(transaction, user), bool(approver))


def _emergencies(transaction: Transaction, user: User) -> int:
    """Count the emergencies that an approver or administrator may review."""
    theirs = grants.c.user_id != user.id
    if user.role is not Role.ADMIN:
        theirs = timed_grants.reviewable_by(user.id)
    query = select(func.count()).select_from(grants).where(timed_grants.unreviewed(True), theirs)
    return int(transaction.connection.execute(query).scalar_one())

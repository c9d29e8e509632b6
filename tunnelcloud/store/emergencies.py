"""Users who open a tunnel without approval in an emergency, as their policy allows, and the review.

Nobody is asked before, so everybody concerned is told at once, and an emergency is listed until
somebody else has reviewed it.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from tunnelcloud.domain.approvals import REPEAT_SECONDS, TimedGrant
from tunnelcloud.domain.objects.policies import Policy
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import User
from tunnelcloud.store import identities, policies, timed_grants
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.object_limits import MOST_EMERGENCIES, check_room
from tunnelcloud.store.schema import timed_grants as table
from tunnelcloud.store.timed_grants import GRANTS
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.users import lock_unblocked


def begin(
    transaction: Transaction,
    user: User,
    tunnel: Tunnel,
    policy: Policy,
    *,
    source_ip: str,
    reason: str,
    seconds: int | None = None,
) -> TimedGrant:
    """Let a user in at once; somebody who sends the same again within a minute has one emergency.

    :param seconds: for how long; at most, and by default, what the policy says.
    :raise Conflict: the policy doesn't allow it, the user is blocked, or too many of theirs wait
        for a review.
    """
    most = policies.hold(transaction, policy.id).emergency_seconds
    if most is None:
        text = f"{tunnel.name} doesn't open without an approval, not even in an emergency: ask"
        raise Conflict("tunnel_id", text)
    lock_unblocked(transaction, user.id)
    recent = _recent(transaction, user, tunnel, policy)
    if recent is not None:
        return recent
    waiting = table.c.user_id == user.id, table.c.emergency.is_(True), table.c.reviewed_at.is_(None)
    what = "emergencies that nobody has reviewed: have an approver review them first"
    check_room(transaction, table, MOST_EMERGENCIES, *waiting, what=what)
    lasts = min(seconds or most, most)
    grant = timed_grants.add(
        transaction,
        lasts,
        user_id=user.id,
        tunnel_id=tunnel.id,
        policy_id=policy.id,
        approval=policy.approval,
        reason=reason,
        request_id="",
        allowed_by_id=user.id,
        allowed_by=user.name,
        emergency=True,
    )
    timed_grants.record(
        transaction, "emergency.begun", grant, source_ip, reason=reason, seconds=lasts
    )
    return grant


def _recent(
    transaction: Transaction, user: User, tunnel: Tunnel, policy: Policy
) -> TimedGrant | None:
    grant = timed_grants.in_force(transaction, user.id, tunnel.id, policy)
    since = transaction.now() - timedelta(seconds=REPEAT_SECONDS)
    return grant if grant is not None and grant.emergency and grant.starts_at > since else None


def review(transaction: Transaction, grant_id: str, by: User, *, answer: str = "") -> TimedGrant:
    """Write down that somebody has reviewed an emergency.

    :param by: one who may, and not the user whose emergency it was.
    :raise NotFound: there is no such grant.
    :raise Conflict: it was no emergency, or it has been reviewed.
    """
    now = transaction.now()
    reviewed = transaction.connection.execute(
        update(table)
        .where(table.c.id == grant_id, table.c.emergency.is_(True), table.c.reviewed_at.is_(None))
        .values(reviewed_at=now, reviewed_by_id=by.id, reviewed_by=by.name, review=answer)
    )
    grant = GRANTS.get(transaction, grant_id)
    if not reviewed.rowcount:
        text = f"{grant.reviewed_by} has reviewed this emergency already"
        raise Conflict("", text if grant.emergency else "only an emergency is reviewed")
    transaction.changed("grant", grant_id, concerns=(grant.user_id,))
    same = identities.shared_provider(transaction, by.id, grant.user_id)
    shown = {"same_person_at": same} if same else {}
    timed_grants.record(transaction, "emergency.reviewed", grant, answer=answer, **shown)
    return grant

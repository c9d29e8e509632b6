"""Approvals, by somebody else or by the user in the portal: requests and grants.

A request asks that a user may open a tunnel; a grant is the permission, and it ends by itself.
Pure values; other modules decide and store them.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

from attrs import evolve, frozen

from tunnelcloud.domain.objects.policies import Approval, Policy

REQUEST_SECONDS = 900
"""How long a request waits for an answer, counted from when it was last asked for."""

REPEAT_SECONDS = 60
"""Seconds after a refusal in which the same request is refused without asking anybody."""


class RequestStatus(enum.StrEnum):
    """The state of a request."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"


@frozen
class _ForApproval:
    """A user, a tunnel, and the policy that wants an approval.

    :ivar approval: who may approve: the user in the portal, or the policy's approvers.
    """

    id: str
    created_at: datetime
    user_id: str
    user_name: str
    tunnel_id: str
    tunnel_name: str
    policy_id: str
    approval: Approval


@frozen
class ApprovalRequest(_ForApproval):
    """Somebody wants to open a tunnel, and a policy wants an approval for it.

    :ivar source_ip: where the user's client is, or the browser that asked.
    :ivar client: the client's version text; empty for a request made beforehand.
    :ivar seconds: how long the grant is to last.
    :ivar expires_at: when the request stops waiting.
    :ivar answer: the text of the person who decided.
    :ivar renews_id: the grant that an approval prolongs; None for a new one.
    """

    approvers_id: str | None
    source_ip: str
    client: str
    reason: str
    seconds: int
    status: RequestStatus
    expires_at: datetime
    session_id: str | None = None
    decided_at: datetime | None = None
    decided_by_id: str | None = None
    decided_by: str = ""
    answer: str = ""
    renews_id: str | None = None


@frozen
class TimedGrant(_ForApproval):
    """A permission for a time: a request led to it, or its user took it in an emergency.

    :ivar source_ip: the one address that it is for; None for any.
    :ivar request_id: empty for an emergency.
    :ivar ended_at: when somebody ended it before its time.
    :ivar emergency: its user took it without anybody's approval.
    :ivar renewed_at: when an approver prolonged it last.
    :ivar review: what whoever reviewed the emergency said.
    """

    source_ip: str | None
    starts_at: datetime
    ends_at: datetime
    request_id: str
    allowed_by_id: str
    allowed_by: str
    reason: str
    ended_at: datetime | None = None
    emergency: bool = False
    renewed_at: datetime | None = None
    reviewed_at: datetime | None = None
    reviewed_by_id: str | None = None
    reviewed_by: str = ""
    review: str = ""

    def holds(self, policy: Policy, source_ip: str, at: datetime) -> bool:
        """Tell whether this is the approval that a policy wants, for a client, at a time.

        A grant holds as soon as it is there: the clock that dated it may be ahead.
        """
        return (
            self.policy_id == policy.id
            and self.approval is policy.approval
            and self.source_ip in (None, source_ip)
            and at < self.ends_at
            and self.ended_at is None
        )

    def narrowed(self, policy: Policy) -> TimedGrant:
        """Give it as its policy allows it, which may give less time than when it was made."""
        most = policy.approval_seconds
        if self.emergency and self.renewed_at is None:
            most = policy.emergency_seconds or 0
        last = (self.renewed_at or self.starts_at) + timedelta(seconds=most)
        return self if self.ends_at <= last else evolve(self, ends_at=last)

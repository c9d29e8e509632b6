"""Requests for an approval and the grants that they lead to, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.web.models.fields import WHOLE, Body, Id, Instant, PageQuery, Shown, Text

Reason = Annotated[Text, Field(max_length=500)]


def _given(value: str) -> str:
    if not value.strip():
        raise ValueError("say why: it is reviewed later")
    return value


_GivenReason = Annotated[
    Reason,
    AfterValidator(_given),
    Field(min_length=1, json_schema_extra={"pattern": "^[^\\u0000]*[^\\u0000\\s][^\\u0000]*$"}),
]
_Seconds = Annotated[int, Field(ge=60, le=31_622_400), WHOLE]


class _ForApproval(Shown):
    """Who is to open what, and the policy that wants an approval."""

    id: str
    created_at: Instant
    user_id: str
    user_name: str
    tunnel_id: str
    tunnel_name: str
    policy_id: str
    approval: Approval


class ApprovalRequest(_ForApproval):
    """Somebody wants to open a tunnel, and a policy wants an approval for it."""

    source_ip: str
    client: str
    reason: str
    seconds: int = Field(description="How long the grant is to last.")
    status: RequestStatus
    expires_at: Instant
    session_id: str | None
    decided_at: Instant | None
    decided_by_id: str | None
    decided_by: str
    answer: str
    renews_id: str | None = Field(description="The grant that an approval prolongs, if it is one.")


class RequestQuery(PageQuery):
    """Asks for requests."""

    status: RequestStatus | None = None
    user_id: Text | None = None
    tunnel_id: Text | None = None
    decidable: bool | None = Field(
        default=None, description="Only those that the caller may decide, or all."
    )


class NewRequest(Body):
    """Asks for an approval before it is needed, or to prolong the grant that is in force."""

    tunnel_id: Id
    reason: Reason = ""
    seconds: _Seconds | None = Field(
        default=None, description="At most what the policy says; by default just that."
    )


class NewEmergency(Body):
    """Opens a tunnel without an approval, where its policy allows that in an emergency."""

    tunnel_id: Id
    reason: _GivenReason
    seconds: _Seconds | None = Field(
        default=None, description="At most what the policy says; by default just that."
    )


class Answer(Body):
    """The answer for the user who asked."""

    answer: Reason = ""


class TimedGrant(_ForApproval):
    """A permission that a request led to, or an emergency; it ends by itself."""

    source_ip: str | None
    starts_at: Instant
    ends_at: Instant
    ended_at: Instant | None
    request_id: str = Field(description="Empty for an emergency.")
    allowed_by_id: str
    allowed_by: str
    reason: str
    emergency: bool = Field(description="Its user took it without an approval.")
    renewed_at: Instant | None
    reviewed_at: Instant | None
    reviewed_by_id: str | None
    reviewed_by: str
    review: str


class GrantQuery(PageQuery):
    """Asks for grants."""

    user_id: Text | None = None
    tunnel_id: Text | None = None
    live: bool | None = Field(default=None, description="Only those in force, or the others.")
    unreviewed: bool | None = Field(
        default=None, description="Only emergencies to review, or only reviewed ones."
    )

"""Why something may be opened or not, and whether the way to its target works."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tunnelcloud.domain.addresses import read_address
from tunnelcloud.domain.entities import Method
from tunnelcloud.web.models.fields import WHOLE, Body, Id, Instant, Port, Shown


def _address(value: str) -> str:
    address = read_address(value)
    if address is None:
        raise ValueError("use an IPv4 or an IPv6 address")
    return str(address)


_FIRST_YEAR, _LAST_YEAR = 1970, 9998


def _moment(value: datetime) -> datetime:
    """Refuse a time around which there are no whole weeks, which hours of policies are worked out
    in.
    """
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError(f"use a time in a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return value


Address = Annotated[
    str,
    AfterValidator(_address),
    Field(max_length=64, json_schema_extra={"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
]
_Method = Annotated[Method, Field(strict=False)]


class Question(Body):
    """Asks whether a user may open a tunnel; names or ids serve."""

    user: Id
    tunnel: Id
    port: Port | None = None
    method: _Method = Method.TOKEN
    source_ip: Address | None = None
    at: Annotated[Instant, AfterValidator(_moment)] | None = None
    session_seconds: Annotated[int, Field(ge=0, le=31_622_400), WHOLE] = Field(
        default=0, description="How long the session has been open already."
    )


class RuleShown(Shown):
    """One rule that was checked."""

    rule: str
    passed: bool
    text: str
    policy_id: str | None = Field(description="The policy that has the condition, if one has.")
    policy_name: str | None


class Explanation(Shown):
    """The decision, and each rule that leads to it."""

    allowed: bool
    held: bool = Field(
        description="Whether a connection would wait, as an approval is all that is missing; the "
        "reason says for whose."
    )
    reason: str
    rules: list[RuleShown]


class CheckQuery(BaseModel):
    """Asks for a check of the way to a tunnel's target; without a port, of the first one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: Port | None = None


class Certificate(Shown):
    """The certificate that a target showed; its contents are shown, but not trusted."""

    subject: str
    issuer: str
    begins_at: Instant
    ends_at: Instant
    fault: str = Field(description="Why the pod's machine would not trust it; empty when it would.")


class Step(Shown):
    """One hop on the way to a target."""

    name: str
    ok: bool
    milliseconds: float
    text: str
    warning: str = Field(description="What will be wrong soon; empty when nothing.")
    certificate: Certificate | None = Field(
        description="What the target showed, of a step that checked it by TLS."
    )


class Check(Shown):
    """The steps of a check of the path to a tunnel's target, up to the first that failed."""

    ok: bool
    steps: list[Step]


class LastCheck(Shown):
    """This pod's last check of a tunnel; empty before the first."""

    checked_at: Instant | None
    ok: bool | None
    steps: list[Step]

"""Credentials, what they opened, and why something may be opened or not."""

from __future__ import annotations

import ipaddress
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tunnelcloud.domain.entities import Method, Role
from tunnelcloud.domain.events import CATALOGUE
from tunnelcloud.web.models.fields import (
    WHOLE,
    Body,
    Change,
    Id,
    Instant,
    PageQuery,
    Port,
    Shown,
    Text,
    Title,
    Words,
)
from tunnelcloud.web.models.objects import Published, User
from tunnelcloud.web.public_keys import read_public_key


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("use an IPv4 or an IPv6 address") from None


Address = Annotated[
    str,
    AfterValidator(_address),
    Field(max_length=64, json_schema_extra={"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
]
# Its length is no field's limit but the format's: no shorter and no longer text is a key.
PublicKey = Annotated[
    str, AfterValidator(read_public_key), Field(json_schema_extra={"format": "ssh-public-key"})
]
_Method = Annotated[Method, Field(strict=False)]


class Key(Shown):
    """A dedicated SSH public key of one user."""

    id: str
    title: str
    created_at: Instant
    user_id: str
    public_key: str
    fingerprint: str
    expires_at: Instant | None
    last_used_at: Instant | None
    last_used_from: str | None


class NewKey(Body):
    """Registers a public key."""

    public_key: PublicKey
    title: Title = ""
    expires_at: Instant | None = None


class KeyChange(Change):
    """Changes a key's title or its expiry."""

    title: Title = ""
    expires_at: Instant | None = None


class Token(Shown):
    """A one-time token, without its secret."""

    id: str
    created_at: Instant
    user_id: str
    tunnel_id: str | None
    expires_at: Instant
    sessions: int
    sessions_used: int
    used_at: Instant | None
    used_from: str | None
    revoked_at: Instant | None


class TokenQuery(PageQuery):
    """Asks for tokens."""

    user_id: Text | None = None
    tunnel_id: Text | None = None


class NewOwnToken(Body):
    """Makes a one-time token for oneself."""

    tunnel_id: Id | None = None
    sessions: Annotated[int, Field(ge=1, le=8), WHOLE] = 1


class NewToken(NewOwnToken):
    """Makes a one-time token for a user."""

    user_id: Id


class TokenMade(Shown):
    """A new one-time token with its secret and the command to use it; shown once.

    C{warnings} say why it opens nothing now.
    """

    id: str
    token: str
    expires_at: Instant
    command: str
    warnings: list[str]


class ApiToken(Shown):
    """A bearer token of this API, without its secret."""

    id: str
    title: str
    created_at: Instant
    role: Role
    user_id: str | None
    expires_at: Instant | None
    last_used_at: Instant | None


class NewApiToken(Body):
    """Makes a bearer token."""

    title: Title = ""
    role: Annotated[Role, Field(strict=False)] = Role.USER
    user_id: Id | None = None
    expires_at: Instant | None = None


class ApiTokenChange(Change):
    """Changes an API token's title or its expiry."""

    title: Title = ""
    expires_at: Instant | None = None


class ApiTokenQuery(PageQuery):
    """Asks for API tokens."""

    user_id: Text | None = None
    role: Role | None = None
    q: Words | None = None


class ApiTokenMade(ApiToken):
    """A new bearer token with its secret; shown once."""

    token: str


class Invitation(Shown):
    """A one-time link by which a user sets a password; shown once."""

    url: str
    expires_at: Instant


_RATE = Field(
    description="Bytes a second, the average over the last few; null when it isn't open on the pod"
    " that answers."
)


class Session(Shown):
    """One authenticated SSH connection, open or past."""

    id: str
    user_id: str
    user_name: str = Field(description="What the user was called when it began.")
    method: Method
    login_name: str
    source_ip: str
    client_version: str
    pod_id: str
    tunnel_id: str | None = Field(description="The only tunnel it may use.")
    tunnel_name: str | None
    started_at: Instant
    ended_at: Instant | None
    end_reason: str
    bytes_to_target: int
    bytes_from_target: int
    rate_to_target: float | None = _RATE
    rate_from_target: float | None = _RATE


class OwnSessionQuery(PageQuery):
    """Asks for one's own sessions."""

    tunnel_id: Text | None = None
    pod_id: Text | None = None
    method: Method | None = None
    source_ip: Text | None = None
    since: Instant | None = None
    until: Instant | None = None
    q: Words | None = None
    live: bool | None = Field(default=None, description="Only those that are open, or are not.")


class SessionQuery(OwnSessionQuery):
    """Asks for sessions."""

    user_id: Text | None = None


class Channel(Shown):
    """One forwarded TCP connection, open or past."""

    id: str
    session_id: str
    user_name: str = Field(description="What the user was called when it began.")
    source_ip: str
    tunnel_id: str
    tunnel_name: str = Field(description="What the tunnel was called when it began.")
    connector_id: str | None
    connector_name: str | None
    destination: str
    port: int
    opened_at: Instant
    closed_at: Instant | None
    close_reason: str
    bytes_to_target: int
    bytes_from_target: int
    rate_to_target: float | None = _RATE
    rate_from_target: float | None = _RATE


class ChannelQuery(PageQuery):
    """Asks for the channels of a session."""

    tunnel_id: Text | None = None
    live: bool | None = Field(default=None, description="Only those that are open, or are not.")


class Pod(Shown):
    """A pod, and where others reach it."""

    id: str
    name: str
    version: str
    started_at: Instant
    last_seen_at: Instant
    ssh_address: str
    connectors_address: str
    draining: bool


class HostKey(Shown):
    """An SSH host key: its fingerprint as C{ssh} shows it, and a line for every address."""

    algorithm: str
    fingerprint: str
    known_hosts: list[str]


class Event(Shown):
    """Something that happened; what C{data} holds depends on the event."""

    id: str
    at: Instant
    event: str
    actor: str
    actor_id: str | None
    user_id: str | None
    user_name: str | None
    tunnel_id: str | None
    tunnel_name: str | None
    session_id: str | None
    source_ip: str | None
    pod_id: str | None
    data: dict[str, Any]


_EVENTS = sorted({*CATALOGUE, *(f"{name.partition('.')[0]}." for name in CATALOGUE)})


def _event_name(name: str) -> str:
    if name not in _EVENTS:
        near = get_close_matches(name, CATALOGUE, n=3, cutoff=0.5) or ["login.refused"]
        kind = f"{near[0].partition('.')[0]}."
        raise ValueError(
            f"there is no such event: use one such as {', '.join(near)}, or {kind} for all events"
            f" whose names begin so"
        )
    return name


class AuditFilter(BaseModel):
    """Asks the audit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: Annotated[str, AfterValidator(_event_name)] | None = Field(
        default=None,
        description="Such as login.refused; login. for all that begin so.",
        json_schema_extra={"enum": list(_EVENTS)},
    )
    actor: Text | None = Field(default=None, description="Who did it, by name or id.")
    user_name: Text | None = None
    tunnel_name: Text | None = None
    pod_id: Text | None = None
    q: Words | None = None
    user_id: Text | None = None
    tunnel_id: Text | None = None
    session_id: Text | None = None
    source_ip: Text | None = None
    since: Instant | None = None
    until: Instant | None = None


class AuditQuery(AuditFilter, PageQuery):
    """Asks the audit, a page at a time; a page may have few events and a next one still."""

    order: Literal["newest", "oldest"] = "newest"


class AuditExportQuery(AuditFilter):
    """Asks for all of the audit that fits."""


class Question(Body):
    """Asks whether a user may open a tunnel; names or ids serve."""

    user: Id
    tunnel: Id
    port: Port | None = None
    method: _Method = Method.TOKEN
    source_ip: Address | None = None
    at: Instant | None = None
    session_seconds: Annotated[int, Field(ge=0, le=31_622_400), WHOLE] = Field(
        default=0, description="How long the session has been open already."
    )


class RuleShown(Shown):
    """One rule that was looked at."""

    rule: str
    passed: bool
    text: str
    policy_id: str | None = Field(description="The policy whose condition it is, if it is one's.")
    policy_name: str | None


class Explanation(Shown):
    """What would be decided, and each rule that leads to it."""

    allowed: bool
    reason: str
    rules: list[RuleShown]


class CheckQuery(BaseModel):
    """Asks for a check of the way to a tunnel's target; without a port, of the first one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: Port | None = None


class Certificate(Shown):
    """The certificate that a target showed; what it says is told, not trusted."""

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
    """How the way to a tunnel's target fares; it ends with the first step that failed."""

    ok: bool
    steps: list[Step]


class LastCheck(Shown):
    """What this pod's last check of a tunnel found; nothing when there was none yet."""

    checked_at: Instant | None
    ok: bool | None
    steps: list[Step]


class Me(Shown):
    """Who the caller is."""

    role: Role
    user: User | None


class MyTunnel(Published):
    """A tunnel of the caller's, and how to open it."""

    methods: list[Method]
    command: str
    ssh_address: str = Field(description="Where SSH clients reach the pods, as host:port.")


class StatisticsQuery(BaseModel):
    """Asks what went on in the last hours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hours: int = Field(default=24, ge=1, le=168, description="How many, up to now.")


class Statistics(Shown):
    """What went on hour by hour, the oldest first; the last hour isn't over."""

    begin: Instant
    bucket_seconds: int
    sessions: list[int] = Field(description="Open at some time in each hour.")
    channels: list[int] = Field(description="Open at some time in each hour.")
    traffic_bytes: list[int] = Field(description="In both directions.")
    refused_logins: list[int]


class Deletion(Shown):
    """What deleting an object would cut, and take with it."""

    users: int = Field(description="Who have something open through it now.")
    channels: int = Field(description="What they have open.")
    sessions: int = Field(description="Open sessions, of a user.")
    objects: dict[str, int] = Field(description="What is deleted with it, by the noun.")
    in_use: int = Field(description="Assignments that forbid it.")

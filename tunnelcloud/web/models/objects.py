"""What administrators make: sites, connectors, tunnels, users, groups, policies, assignments."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from tunnelcloud.domain.entities import Method, Role, TargetCheck
from tunnelcloud.web.models.fields import (
    WHOLE,
    Body,
    Change,
    Description,
    Email,
    ExternalAddress,
    Host,
    Icon,
    Id,
    Instant,
    Name,
    Network,
    PageQuery,
    PortList,
    Ports,
    Shown,
    Text,
    Title,
    UserName,
    WeeklyWindow,
    Words,
    one_of,
)

_Limit = Annotated[int, Field(ge=1, le=1_000_000), WHOLE]
_Seconds = Annotated[int, Field(ge=1, le=31_622_400), WHOLE]
Offset = Annotated[int, Field(ge=-65534, le=65534), WHOLE]
Checking = Annotated[TargetCheck, Field(strict=False)]
Methods = Annotated[list[Annotated[Method, Field(strict=False)]], Field(min_length=1, max_length=2)]


class Named(Shown):
    """What every object with a name shows."""

    id: str
    name: str
    title: str
    created_at: Instant


class NamedQuery(PageQuery):
    """Asks a collection of named objects."""

    name: Text | None = Field(default=None, description="The one with exactly this name.")
    q: Words | None = Field(
        default=None, description="Those with this in the name, the title or an address."
    )
    sort: Literal["name", "-name", "created_at", "-created_at"] = "created_at"


class NewNamed(Body):
    """Makes a site or a group."""

    name: Name
    title: Title = ""


class NamedChange(Change):
    """Changes a site or a group."""

    name: Name = ""
    title: Title = ""


class Site(Named):
    """A private network."""


class ConnectorStatus(enum.StrEnum):
    """How a connector is: whether it has joined, and whether a pod has a link to it."""

    NEW = "new"
    ATTACHED = "attached"
    DETACHED = "detached"


class Connector(Named):
    """The process in a site that opens connections to targets."""

    site_id: str
    status: ConnectorStatus
    version: str
    joined_at: Instant | None
    last_seen_at: Instant | None
    certificate_expires_at: Instant | None
    round_trip_ms: float | None
    load: int | None


class ConnectorQuery(NamedQuery):
    """Asks for connectors."""

    site_id: Text | None = None


class NewConnector(NewNamed):
    """Makes a connector."""

    site_id: Id


class JoinTokenShown(Shown):
    """What makes a new connector one of ours, and the command that uses it; shown once."""

    token: str
    expires_at: Instant
    command: str


class ConnectorMade(Connector):
    """A new connector, with its first join token; shown once."""

    join: JoinTokenShown


class Published(Named):
    """What a tunnel is, to whoever may know of it."""

    site_id: str
    target_address: str
    target_ports: list[Ports]
    local_port_offset: int
    external_address: str | None
    enabled: bool
    icon: str
    description: str
    target_check: TargetCheck


class LastSeen(Shown):
    """What this pod's last check of a tunnel's target found."""

    checked_at: Instant
    ok: bool
    text: str = Field(description="What the last step found, in words.")
    warning: str = Field(description="What will be wrong soon; empty when nothing.")
    certificate_ends_at: Instant | None = Field(
        description="When the target's certificate ends, where it was checked by TLS."
    )


class Tunnel(Published):
    """A published TCP service, and what this pod's last check of it found; null before one."""

    last_check: LastSeen | None


class TunnelAnswered(Tunnel):
    """A tunnel that was just made or changed, and what may not be as it was meant."""

    warnings: list[str]


class TunnelQuery(NamedQuery):
    """Asks for tunnels."""

    site_id: Text | None = None
    enabled: bool | None = None
    target_address: Text | None = None
    external_address: Text | None = None
    user_id: Text | None = Field(default=None, description="Those assigned to a user.")


class NewAssignment(Body):
    """Gives a tunnel to a user or a group."""

    model_config = ConfigDict(json_schema_extra=one_of("user_id", "group_id"))

    user_id: Id | None = None
    group_id: Id | None = None
    methods: Methods
    policy_id: Id | None = None

    @model_validator(mode="after")
    def _one_entity(self) -> NewAssignment:
        if (self.user_id is None) == (self.group_id is None):
            raise ValueError("give either user_id or group_id")
        return self


def _each_once(given: list[NewAssignment]) -> list[NewAssignment]:
    if len({(one.user_id, one.group_id) for one in given}) < len(given):
        raise ValueError("two of them are for the same user or group")
    return given


_NewAssignments = Annotated[list[NewAssignment], Field(max_length=100), AfterValidator(_each_once)]


class NewTunnel(NewNamed):
    """Makes a tunnel."""

    site_id: Id
    target_address: Host
    target_ports: PortList
    local_port_offset: Offset = 0
    external_address: ExternalAddress | None = None
    enabled: bool = True
    icon: Icon = ""
    description: Description = ""
    target_check: Checking = TargetCheck.TCP
    assignments: _NewAssignments = Field(
        default=[], description="Who may open it: all of it is made, or nothing."
    )


class TunnelChange(NamedChange):
    """Changes a tunnel."""

    site_id: Id = ""
    target_address: Host = ""
    target_ports: PortList = []
    local_port_offset: Offset = 0
    external_address: ExternalAddress | None = None
    enabled: bool = True
    icon: Icon = ""
    description: Description = ""
    target_check: Checking = TargetCheck.TCP


class User(Named):
    """A person or a service account."""

    email: str | None
    role: Role
    service: bool
    blocked: bool


class UserQuery(NamedQuery):
    """Asks for users."""

    name: Text | None = Field(default=None, description="The one with this name or e-mail address.")
    role: Role | None = None
    blocked: bool | None = None
    service: bool | None = None
    group_id: Text | None = Field(default=None, description="The members of a group.")


class NewUser(Body):
    """Makes a user."""

    name: UserName
    title: Title = ""
    email: Email | None = None
    role: Annotated[Role, Field(strict=False)] = Role.USER
    service: bool = False
    blocked: bool = False


class UserChange(Change):
    """Changes a user."""

    name: UserName = ""
    title: Title = ""
    email: Email | None = None
    role: Annotated[Role, Field(strict=False)] = Role.USER
    service: bool = False
    blocked: bool = False


class Group(Named):
    """Users that are assigned together."""


class GroupQuery(NamedQuery):
    """Asks for groups."""

    user_id: Text | None = Field(default=None, description="Those a user is in.")


class Policy(Named):
    """Conditions that must all hold."""

    source_networks: list[str]
    windows: list[WeeklyWindow]
    valid_from: Instant | None
    valid_until: Instant | None
    max_session_seconds: int | None
    idle_seconds: int | None
    max_channels: int | None
    max_sessions: int | None
    max_token_sessions: int | None


class PolicyFields(Body):
    """What a policy says."""

    title: Title = ""
    source_networks: Annotated[list[Network], Field(max_length=256)] = []
    windows: Annotated[list[WeeklyWindow], Field(max_length=64)] = []
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    max_session_seconds: _Seconds | None = None
    idle_seconds: _Seconds | None = None
    max_channels: _Limit | None = None
    max_sessions: _Limit | None = None
    max_token_sessions: Annotated[int, Field(ge=1, le=8), WHOLE] | None = None


class NewPolicy(PolicyFields):
    """Makes a policy."""

    name: Name


class PolicyChange(PolicyFields, Change):
    """Changes a policy."""

    name: Name = ""


class Assignment(Shown):
    """Who may open a tunnel, by which methods, under which policy."""

    id: str
    created_at: Instant
    tunnel_id: str
    user_id: str | None
    group_id: str | None
    methods: list[Method]
    policy_id: str | None


class AssignmentQuery(PageQuery):
    """Asks for a tunnel's assignments."""

    user_id: Text | None = None
    group_id: Text | None = None
    policy_id: Text | None = None
    reaches_user_id: Text | None = Field(
        default=None, description="Those of a user, and of the groups the user is in."
    )


class AssignmentChange(Change):
    """Changes the methods or the policy of an assignment."""

    methods: Methods = []
    policy_id: Id | None = None


class Settings(Shown):
    """What is set for all pods."""

    audit_retention_days: int | None
    session_retention_days: int | None
    target_check_seconds: int | None


_Days = Annotated[int, Field(ge=1, le=36_500), WHOLE]


class SettingsChange(Change):
    """Changes what is set for all pods; null is for ever, or never."""

    audit_retention_days: _Days | None = Field(
        default=None, description="How long events are kept; null for ever."
    )
    session_retention_days: _Days | None = Field(
        default=None, description="How long past sessions and their channels are; null for ever."
    )
    target_check_seconds: Annotated[int, Field(ge=10, le=86_400), WHOLE] | None = Field(
        default=None,
        description="How often the way to each tunnel's target is tried; null for never.",
    )

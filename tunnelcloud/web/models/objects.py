"""Models of objects: sites, connectors, tunnels, users, groups, policies, assignments."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects import CONNECTOR, GROUP, POLICY, SITE, TUNNEL, USER
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tunnel_standing import Stand
from tunnelcloud.web.models.fields import (
    WHOLE,
    Body,
    Change,
    Id,
    Instant,
    PageQuery,
    Shown,
    Text,
    Words,
    one_of,
)
from tunnelcloud.web.models.kinds import change_model, new_model, shown_model

Methods = Annotated[list[Annotated[Method, Field(strict=False)]], Field(min_length=1, max_length=2)]


class NamedQuery(PageQuery):
    """Asks a collection of named objects."""

    name: Text | None = Field(default=None, description="The one with exactly this name.")
    q: Words | None = Field(
        default=None, description="Those with this in the name, the title or an address."
    )
    sort: Literal["name", "-name", "created_at", "-created_at"] = "created_at"


class SiteQuery(NamedQuery):
    """Asks for sites."""

    has_connectors: bool | None = Field(
        default=None, description="Those with connectors, or without."
    )
    has_tunnels: bool | None = Field(default=None, description="Those with tunnels, or without.")


Site = shown_model(SITE, "Site", "A private network.")
NewSite = new_model(SITE, "NewSite", "Makes a site.")
SiteChange = change_model(SITE, "SiteChange", "Changes a site.")


class ConnectorStatus(enum.StrEnum):
    """The state of a connector: whether it has joined, and whether a pod has a link to it."""

    NEW = "new"
    ATTACHED = "attached"
    DETACHED = "detached"


class AttachedTo(Shown):
    """To how many of the pods a connector has links."""

    pods: int
    of: int


_CONNECTOR_SHOWN: dict[str, Any] = {
    "status": (ConnectorStatus, ...),
    "attached_to": (AttachedTo, ...),
    "version": (str, ...),
    "joined_at": (Instant | None, ...),
    "last_seen_at": (Instant | None, ...),
    "certificate_expires_at": (Instant | None, ...),
    "round_trip_ms": (float | None, ...),
    "load": (int | None, ...),
    "way": (str | None, ...),
    "cloned_at": (Instant | None, ...),
}
Connector = shown_model(
    CONNECTOR,
    "Connector",
    "The process in a site that opens connections to targets.",
    **_CONNECTOR_SHOWN,
)
NewConnector = new_model(CONNECTOR, "NewConnector", "Makes a connector.")
ConnectorChange = change_model(CONNECTOR, "ConnectorChange", "Changes a connector.")


class ConnectorQuery(NamedQuery):
    """Asks for connectors."""

    site_id: Text | None = None
    joined: bool | None = Field(
        default=None, description="Those that have joined, or that never have."
    )


class JoinTokenShown(Shown):
    """What makes a new connector one of ours; shown once.

    The command starts the connector.  It finds the token in a file, which its user alone can read:
    what stands on a command line can be read by other users of the machine.
    """

    token: str = Field(repr=False)
    expires_at: Instant
    command: str = Field(repr=False)


ConnectorMade = shown_model(
    CONNECTOR,
    "ConnectorMade",
    "A new connector, with its first join token; shown once.",
    **_CONNECTOR_SHOWN,
    join=(JoinTokenShown, ...),
)


class LastSeen(Shown):
    """The result of this pod's last check of a tunnel's target."""

    checked_at: Instant
    ok: bool
    text: str = Field(description="What the last step found, in words.")
    warning: str = Field(description="What will be wrong soon; empty when nothing.")
    certificate_ends_at: Instant | None = Field(
        description="When the target's certificate ends, where it was checked by TLS."
    )


STANDING: dict[str, Any] = {
    "standing": (Stand, Field(description="How the tunnel stands now, in one word.")),
    "state": (str, Field(description="The same for people: ``Ready``, or what is in the way.")),
}
_TUNNEL_SHOWN: dict[str, Any] = {"last_check": (LastSeen | None, ...), **STANDING}
Published = shown_model(TUNNEL, "Published", "What a tunnel is, to whoever may know of it.")
Tunnel = shown_model(
    TUNNEL,
    "Tunnel",
    "A published TCP service, and what this pod's last check of it found; null before one.",
    **_TUNNEL_SHOWN,
)
TunnelAnswered = shown_model(
    TUNNEL,
    "TunnelAnswered",
    "A tunnel that was just made or changed, and what may not be as it was meant.",
    **_TUNNEL_SHOWN,
    warnings=(list[str], ...),
)


class TunnelQuery(NamedQuery):
    """Asks for tunnels."""

    site_id: Text | None = None
    enabled: bool | None = None
    target_address: Text | None = None
    external_address: Text | None = None
    user_id: Text | None = Field(default=None, description="Those assigned to a user.")
    group_id: Text | None = Field(default=None, description="Those assigned to a group.")
    method: Method | None = Field(
        default=None, description="Those that somebody may open with this method."
    )
    assigned: bool | None = Field(
        default=None, description="Those assigned to somebody, or to nobody."
    )
    unused_since: Instant | None = Field(
        default=None,
        description="Those made before this time of which nobody has opened a channel since, as"
        " far as past channels are kept.",
    )


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
            raise ValueError("give either a user or a group")
        return self


def _each_once(given: list[NewAssignment]) -> list[NewAssignment]:
    if len({(one.user_id, one.group_id) for one in given}) < len(given):
        raise ValueError("two of them are for the same user or group")
    return given


_NewAssignments = Annotated[list[NewAssignment], Field(max_length=100), AfterValidator(_each_once)]


NewTunnel = new_model(
    TUNNEL,
    "NewTunnel",
    "Makes a tunnel.",
    assignments=(
        _NewAssignments,
        Field(default=[], description="Who may open it: all of it is made, or nothing."),
    ),
)
TunnelChange = change_model(TUNNEL, "TunnelChange", "Changes a tunnel.")

User = shown_model(USER, "User", "A person or a service account.")
NewUser = new_model(USER, "NewUser", "Makes a user.")
UserChange = change_model(USER, "UserChange", "Changes a user.")


class UserQuery(NamedQuery):
    """Asks for users."""

    name: Text | None = Field(default=None, description="The one with this name or e-mail address.")
    role: Role | None = None
    blocked: bool | None = None
    service: bool | None = None
    group_id: Text | None = Field(default=None, description="The members of a group.")
    second_factor: bool | None = Field(
        default=None, description="Those who sign in with a second factor, or without."
    )
    unused_since: Instant | None = Field(
        default=None,
        description="Those made before this time who haven't begun an SSH session or used the"
        " portal or the API since, as far as past sessions are kept.",
    )


Group = shown_model(GROUP, "Group", "Users that are assigned together.")
NewGroup = new_model(GROUP, "NewGroup", "Makes a group.")
GroupChange = change_model(GROUP, "GroupChange", "Changes a group.")


class GroupQuery(NamedQuery):
    """Asks for groups."""

    user_id: Text | None = Field(default=None, description="Those a user is in.")
    has_members: bool | None = Field(default=None, description="Those with members, or without.")
    assigned: bool | None = Field(
        default=None, description="Those that tunnels are assigned to, or none is."
    )


Policy = shown_model(POLICY, "Policy", "Conditions that must all hold.")
NewPolicy = new_model(POLICY, "NewPolicy", "Makes a policy.")
PolicyChange = change_model(POLICY, "PolicyChange", "Changes a policy.")


class PolicyQuery(NamedQuery):
    """Asks for policies."""

    used: bool | None = Field(default=None, description="Those that narrow an assignment, or none.")


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
    audit_max_mib: int | None
    session_retention_days: int | None
    target_check_seconds: int | None


MOST_DAYS = 36_500
LEAST_CHECK_SECONDS, MOST_CHECK_SECONDS = 10, 86_400
_Days = Annotated[int, Field(ge=1, le=MOST_DAYS), WHOLE]


class SettingsChange(Change):
    """Changes what is set for all pods; null is for ever, or never."""

    audit_retention_days: _Days | None = Field(
        default=None, description="How long events are kept; null for ever."
    )
    audit_max_mib: Annotated[int, Field(ge=1, le=1_048_576), WHOLE] | None = Field(
        default=None,
        description="About how much room all events may take, in MiB: the oldest go first; null"
        " for any.",
    )
    session_retention_days: _Days | None = Field(
        default=None, description="How long past sessions and their channels are; null for ever."
    )
    target_check_seconds: (
        Annotated[int, Field(ge=LEAST_CHECK_SECONDS, le=MOST_CHECK_SECONDS), WHOLE] | None
    ) = Field(
        default=None,
        description="How often the way to each tunnel's target is tried; null for never.",
    )

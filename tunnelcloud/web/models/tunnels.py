"""Models of tunnels."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects import TUNNEL
from tunnelcloud.domain.tunnel_standing import Stand
from tunnelcloud.web.models.assignments import NewAssignment
from tunnelcloud.web.models.fields import Instant, NamedQuery, Order, Shown, Text
from tunnelcloud.web.models.object_models import change_model, new_model, shown_model
from tunnelcloud.web.models.plain_values import values_as


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
Published = shown_model(TUNNEL, "Published", "Describes a tunnel to users who may know of it.")
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

    sort: Annotated[str, Order("site", "target_address", "external_address", "enabled")] = (
        "created_at"
    )
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

PUBLISHED = values_as(Published)
"""Gives what whoever may know of a tunnel is shown of it."""

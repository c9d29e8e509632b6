"""Models of connectors and their join tokens."""

from __future__ import annotations

import enum
from typing import Annotated, Any

from pydantic import Field

from tunnelcloud.domain.objects import CONNECTOR
from tunnelcloud.web.models.fields import Instant, NamedQuery, Order, Shown, Text
from tunnelcloud.web.models.object_models import change_model, new_model, shown_model


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

    sort: Annotated[str, Order("site", "version", "last_seen_at", "certificate_expires_at")] = (
        "created_at"
    )
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

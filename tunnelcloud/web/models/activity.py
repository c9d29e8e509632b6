"""Models of activity: sessions, channels, pods, the audit, and statistics."""

from __future__ import annotations

import enum
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tunnelcloud.domain.actors import ActorKind
from tunnelcloud.domain.entities import SessionMethod
from tunnelcloud.domain.events import CATALOGUE
from tunnelcloud.web.models.fields import Instant, PageQuery, Shown, StoreQuery, Text, Words

_RATE = Field(
    description="Bytes a second, the average over the last few; null when it isn't open on the pod"
    " that answers."
)


class Session(Shown):
    """One authenticated SSH connection, open or past."""

    id: str
    user_id: str
    user_name: str = Field(description="What the user was called when it began.")
    method: SessionMethod
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
    method: SessionMethod | None = None
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


class PodState(enum.StrEnum):
    """The state of a pod: whether it runs, and whether it takes new sessions."""

    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"
    GONE = "gone"


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
    state: PodState


class Event(Shown):
    """Something that happened; what ``data`` holds depends on the event."""

    id: str
    at: Instant
    event: str
    actor: str
    actor_id: str | None
    actor_kind: ActorKind
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


class AuditFilter(StoreQuery):
    """Asks the audit."""

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


class StatisticsQuery(BaseModel):
    """Asks what went on in the last hours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hours: int = Field(default=24, ge=1, le=168, description="How many, up to now.")


class Statistics(Shown):
    """Activity by the hour, the oldest first; the last hour isn't over."""

    begin: Instant
    bucket_seconds: int
    sessions: list[int] = Field(description="Open at some time in each hour.")
    channels: list[int] = Field(description="Open at some time in each hour.")
    traffic_bytes: list[int] = Field(description="In both directions.")
    refused_logins: list[int]


class Deletion(Shown):
    """The connections and objects that deleting an object would end."""

    users: int = Field(description="Who have something open through it now.")
    channels: int = Field(description="What the user has open.")
    sessions: int = Field(description="Open sessions, of a user.")
    objects: dict[str, int] = Field(description="What is deleted with it, by the noun.")
    in_use: int = Field(description="Assignments that forbid it.")

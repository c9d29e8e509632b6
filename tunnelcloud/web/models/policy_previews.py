"""Models of a policy's preview: the policy in words, and the sessions that a change would cut."""

from __future__ import annotations

from pydantic import Field

from tunnelcloud.web.models.fields import Instant, Shown


class PolicyCut(Shown):
    """The channels that one open session would lose."""

    session_id: str
    user_id: str
    user_name: str
    source_ip: str
    started_at: Instant
    channels: int = Field(description="How many of its connections would be cut.")
    destinations: list[str] = Field(description="Where the first of them lead.")
    reason: str = Field(description="Why, as the user would be told it.")
    ends: bool = Field(description="Whether the whole session ends.")


class PolicyPreview(Shown):
    """A policy that isn't saved: what it says, whom it concerns, and what it would cut now."""

    sentence: str = Field(description="Its conditions in words.")
    standing: str = Field(description="Whether its hours let anybody in now; empty without hours.")
    users: int = Field(description="Users whom an assignment under this policy reaches.")
    tunnels: int = Field(description="Tunnels that are assigned under it.")
    sessions: int = Field(description="These users' open sessions, on all pods.")
    channels: int = Field(description="These sessions' open connections to these tunnels.")
    cut_sessions: int = Field(description="Sessions that would lose something.")
    cut_channels: int = Field(description="Connections that would be cut.")
    ended_sessions: int = Field(description="Sessions that would end altogether.")
    cuts: list[PolicyCut] = Field(description="The first 20 of what would be cut.")
    is_complete: bool = Field(description="Whether every open session was looked at.")

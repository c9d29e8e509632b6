"""How many sessions and channels one user may have open, by the policies of an allowing path."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from tunnelcloud.domain.objects.policies import Policy


def sessions_text(tunnel_name: str, count: int, most: int) -> str:
    """Say how many of the allowed sessions are open."""
    return f"{tunnel_name}: {count} of {most} sessions are open"


def channels_text(tunnel_name: str, count: int, most: int) -> str:
    """Say how many of the allowed connections are open."""
    return f"{tunnel_name}: {count} of {most} connections are open"


@frozen
class Limits:
    """The limits for opening a channel, and the counts on its own pod.

    :ivar sessions_here: the user's sessions on this pod that used a tunnel before this one did.
    :ivar channels_here: the user's open channels of the tunnel on this pod.
    """

    max_sessions: int | None
    max_channels: int | None
    sessions_here: int
    channels_here: int

    def reached(self, tunnel_name: str, sessions: int, channels: int) -> str:
        """Say which limit is reached, counting other pods too; empty if none is."""
        sessions += self.sessions_here
        channels += self.channels_here
        if self.max_sessions is not None and sessions >= self.max_sessions:
            return sessions_text(tunnel_name, sessions, self.max_sessions)
        if self.max_channels is not None and channels >= self.max_channels:
            return channels_text(tunnel_name, channels, self.max_channels)
        return ""


def limits_of(policies: Iterable[Policy], sessions_here: int, channels_here: int) -> Limits | None:
    """Return the limits of these policies together; None if they have none."""
    found = tuple(policies)
    most_sessions = _least(one.max_sessions for one in found)
    most_channels = _least(one.max_channels for one in found)
    if most_sessions is None and most_channels is None:
        return None
    return Limits(most_sessions, most_channels, sessions_here, channels_here)


def _least(limits: Iterable[int | None]) -> int | None:
    return min((one for one in limits if one is not None), default=None)

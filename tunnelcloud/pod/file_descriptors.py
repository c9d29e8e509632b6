"""How many connections each of the pod's listeners may hold, by the number of files it may open.

A listener that is full refuses some clients; a process without descriptors refuses all.
"""

from __future__ import annotations

import resource

from attrs import frozen
from twisted.logger import Logger

from tunnelcloud.net.source_limits import FloodLimits
from tunnelcloud.pod.connector_listener import MAX_IN_DOOR
from tunnelcloud.pod.one_port import MAX_UNDECIDED
from tunnelcloud.pod.user_shares import SESSIONS
from tunnelcloud.web.http_limits import MAX_CONNECTIONS

_ENOUGH = 1_048_576
"""The limit that is requested if the system has none."""

_OWN = 64
"""The pod's own files: database, log, listeners, connections to other servers."""

_log = Logger()


@frozen
class Doors:
    """The most connections that each listener may hold.

    :ivar before_login: SSH connections that haven't logged in.
    :ivar sessions: SSH connections that have.
    :ivar web: connections of browsers and API clients.
    :ivar joining: connections of connectors that are no link yet.
    :ivar undecided: connections to the one port for all whose protocol isn't known yet.
    """

    before_login: int
    sessions: int
    web: int
    joining: int
    undecided: int

    @property
    def flood_limits(self) -> FloodLimits:
        """Give the front door's limits for connections before their login."""
        usual = FloodLimits()
        full = self.before_login
        return FloodLimits(
            start=min(usual.start, full // 4 or 1),
            full=full,
            per_source=min(usual.per_source, full // 2 or 1),
        )


def raise_limit() -> int:
    """Let this process open as many files as it may; return their number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):
            return soft
    return wanted


def divide(limit: int) -> Doors:
    """Divide descriptors among the doors.

    The rest is for links; strangers get no more than half of all.
    """
    free = max(limit - _OWN, 40)
    doors = Doors(
        before_login=min(FloodLimits().full, free // 8),
        sessions=min(SESSIONS, free * 3 // 8),
        web=min(MAX_CONNECTIONS, free // 4),
        joining=min(MAX_IN_DOOR, free // 16),
        undecided=min(MAX_UNDECIDED, free // 16),
    )
    if doors.sessions < SESSIONS:
        _log.warn(
            "this pod may open {limit} files, which is few: {sessions} SSH sessions and {web} web"
            " connections fit. Allow more, such as by LimitNOFILE=65536 in its systemd unit, or by"
            " `ulimit -n`.",
            limit=limit,
            sessions=doors.sessions,
            web=doors.web,
        )
    return doors

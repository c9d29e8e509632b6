"""After how long nothing is left to an SSH session that some paths to tunnels are open to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tunnelcloud.domain.objects.policies import Policy

Limits = tuple[int | None, int | None]
"""Seconds without traffic, and seconds since the login; None where there is no limit."""


def session_limits(paths: Iterable[Sequence[Policy]]) -> Limits:
    """Tell after how long nothing is left to a session.

    :param paths: the policies of each path that is open to it.
    """
    known = list(paths)
    return (
        _longest([policy.idle_seconds for policy in policies] for policies in known),
        _longest([policy.max_session_seconds for policy in policies] for policies in known),
    )


def _longest(paths: Iterable[list[int | None]]) -> int | None:
    """Give the limit of the path that has the longest; on one path all limits hold."""
    shortest = [
        min((limit for limit in limits if limit is not None), default=None) for limits in paths
    ]
    if None in shortest:
        return None
    return max((limit for limit in shortest if limit is not None), default=None)

"""What a client shows its user at the login: that a connection will wait for an approval."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from tunnelcloud.domain.entities import Grant
from tunnelcloud.domain.objects.policies import Approval, Policy
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import Decision
from tunnelcloud.domain.policy_sentences import waits_at

_LOOKED_AT = 20
"""How many tunnels are decided on, so that a login costs no more with thousands of them."""


def login_notice(
    grants: Iterable[Grant], decide: Callable[[Tunnel, int], Decision], page: str
) -> str:
    """Word it for the tunnels that an approval alone keeps shut; empty when there are none.

    :param grants: the paths that are open to the session.
    :param decide: decides on a tunnel and its port, as of now.
    :param page: the address of the page that lists requests.
    """
    asking = (
        grant
        for grant in grants
        if any(policy.approval is not Approval.NONE for policy in grant.policies)
    )
    waiting: dict[str, Policy] = {}
    for grant in islice(asking, _LOOKED_AT):
        tunnel = grant.tunnel
        awaited = decide(tunnel, tunnel.target_ports[0].first).awaited
        if awaited is not None:
            waiting[tunnel.name] = awaited
    if not waiting:
        return ""
    first = min(waiting)
    others = " and others" if len(waiting) > 1 else ""
    return waits_at(f"{first}{others}", waiting[first], page)

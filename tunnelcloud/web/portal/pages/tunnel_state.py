"""How a tunnel stands for one user now: whether it opens, and if not, why and from when on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen

from tunnelcloud.domain.commands import own_host
from tunnelcloud.domain.entities import Method, Tunnel, UserView
from tunnelcloud.domain.policy import Ask, Decision, decide_tunnel
from tunnelcloud.web.resources.attachments import offline_text
from tunnelcloud.web.resources.context import ApiContext


@frozen
class TunnelState:
    """A state in words.

    :ivar ready: whether the tunnel opens.
    :ivar text: that in a few words.
    :ivar is_open: whether connections of the user's go through it now.
    """

    ready: bool
    text: str
    is_open: bool = False


def methods_of(view: UserView, tunnel: Tunnel) -> list[Method]:
    """List the methods that open a tunnel, the token first."""
    given = {method for grant in view.by_tunnel.get(tunnel.id, ()) for method in grant.methods}
    return [method for method in (Method.TOKEN, Method.KEY) if method in given]


def decision_of(
    context: ApiContext, view: UserView, tunnel: Tunnel, method: Method, source_ip: str, port: int
) -> Decision:
    """Decide whether a tunnel opens for a user now, as the front door would."""
    usage = context.live.usage(view.user.id)
    ask = Ask(
        host=own_host(view, tunnel),
        port=port,
        method=method,
        source_ip=source_ip,
        at=context.now(),
        open_sessions=lambda: usage.sessions,
        open_channels=lambda tunnel_id: usage.channels.get(tunnel_id, 0),
    )
    return decide_tunnel(view, ask, tunnel)


def state_of(
    context: ApiContext,
    view: UserView,
    tunnel: Tunnel,
    source_ip: str,
    offline: Mapping[str, datetime | None],
) -> TunnelState:
    """Tell how a tunnel stands: one method that opens it is enough.

    :param offline: what L{offline_sites} gave.
    """
    is_open = bool(context.live.usage(view.user.id).channels.get(tunnel.id))
    reasons = []
    for method in methods_of(view, tunnel):
        port = tunnel.target_ports[0].first
        decision = decision_of(context, view, tunnel, method, source_ip, port)
        if decision.allowed:
            break
        reasons.append(decision.reason)
    else:
        return _shut(reasons[0].removeprefix(f"{tunnel.name}: "), is_open)
    if tunnel.site_id not in offline:
        return TunnelState(True, "Ready", is_open=is_open)
    return _shut(offline_text(tunnel, offline[tunnel.site_id], context.now()), is_open)


def _shut(reason: str, is_open: bool) -> TunnelState:
    return TunnelState(False, reason[:1].upper() + reason[1:], is_open=is_open)

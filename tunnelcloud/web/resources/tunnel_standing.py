"""The state of tunnels, for the API and the pages: by one function, from this pod's data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from tunnelcloud.domain.entities import Method, UserView
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import Ask, Decision, decide_tunnel
from tunnelcloud.domain.ssh_command import own_host
from tunnelcloud.domain.tunnel_standing import Standing, standing
from tunnelcloud.store.own_pages import Connected, read_connected
from tunnelcloud.store.site_health import offline_sites
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.resources.attached_connectors import attachments_now, offline_text
from tunnelcloud.web.resources.context import ApiContext

Offline = Mapping[str, datetime | None]
"""Sites that have no connector attached, and when each last had one."""


def reader_of_sites(
    context: ApiContext,
) -> Callable[[Transaction, Iterable[Tunnel]], Offline]:
    """Give a store function that tells which sites of some tunnels are offline."""
    attachments = attachments_now(context)

    def read(transaction: Transaction, found: Iterable[Tunnel]) -> Offline:
        return offline_sites(transaction, {tunnel.site_id for tunnel in found}, attachments)

    return read


def reader_of_connection(
    context: ApiContext,
) -> Callable[[Transaction, str, Tunnel], tuple[Offline, list[Connected]]]:
    """Give a store function that tells whether a tunnel's site is offline, and a user connected."""
    read_sites = reader_of_sites(context)

    def read(
        transaction: Transaction, user_id: str, tunnel: Tunnel
    ) -> tuple[Offline, list[Connected]]:
        return read_sites(transaction, [tunnel]), read_connected(transaction, user_id, tunnel.id)

    return read


def standing_of(
    context: ApiContext, tunnel: Tunnel, offline: Offline, refused: Decision | None = None
) -> Standing:
    """Return the state of a tunnel.

    :param refused: why it doesn't open for the caller; None when an administrator looks.
    """
    away = ""
    if tunnel.site_id in offline:
        away = offline_text(tunnel, offline[tunnel.site_id], context.now())
    faults = context.live.target_faults(tunnel.id)
    if refused is None:
        return standing(tunnel, offline=away, seen=faults)
    awaited = refused.awaited is not None
    return standing(tunnel, refusal=refused.reason, awaited=awaited, offline=away, seen=faults)


def own_standing(
    context: ApiContext, view: UserView, tunnel: Tunnel, source_ip: str, offline: Offline
) -> Standing:
    """Return a tunnel's state for one of its users: one method that opens it is enough."""
    refusals: list[Decision] = []
    for method in methods_of(view, tunnel):
        port = tunnel.target_ports[0].first
        decision = decision_of(context, view, tunnel, method, source_ip, port)
        if decision.allowed:
            return standing_of(context, tunnel, offline)
        refusals.append(decision)
    held = [decision for decision in refusals if decision.awaited is not None]
    return standing_of(context, tunnel, offline, (held or refusals)[0])


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

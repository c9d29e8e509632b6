"""How a tunnel stands for one user now: whether it opens, and if not, why and from when on."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime, timedelta

from attrs import frozen

from tunnelcloud.domain.entities import Grant, Method, Tunnel, UserView
from tunnelcloud.domain.policy import Ask, Decision, decide
from tunnelcloud.store import connectors
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.resources.attachments import Attachments
from tunnelcloud.web.resources.context import ApiContext

_NEVER_SEEN = datetime.min
_A_DAY = timedelta(days=1)


@frozen
class Standing:
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

    def theirs(grant: Grant) -> bool:
        return grant.tunnel.id == tunnel.id

    given = {method for grant in filter(theirs, view.grants) for method in grant.methods}
    return [method for method in (Method.TOKEN, Method.KEY) if method in given]


def _last_seen(
    transaction: Transaction, site_ids: Set[str], attachments: Attachments
) -> dict[str, datetime]:
    """Tell of each site without an attached connector when it last had one."""
    found: dict[str, datetime] = {}
    for site_id in site_ids:
        listed = connectors.list_page(transaction, site_id=site_id, limit=200).items
        if not any(map(attachments.have, listed)):
            seen = [one.last_seen_at for one in listed if one.last_seen_at is not None]
            found[site_id] = max(seen, default=_NEVER_SEEN)
    return found


async def offline_sites(context: ApiContext, tunnels: list[Tunnel]) -> Mapping[str, datetime]:
    """Tell which of the tunnels' sites have no connector, and when each last had one."""
    wanted = {tunnel.site_id for tunnel in tunnels}
    return await context.store.read(_last_seen, wanted, Attachments.of(context))


def decision_of(
    context: ApiContext, view: UserView, tunnel: Tunnel, method: Method, source_ip: str, port: int
) -> Decision:
    """Decide whether a tunnel opens for a user now, as the front door would."""
    usage = context.live.usage(view.user.id)
    ask = Ask(
        host=tunnel.name,
        port=port,
        method=method,
        source_ip=source_ip,
        at=context.now(),
        open_sessions=usage.sessions,
        open_channels=lambda tunnel_id: usage.channels.get(tunnel_id, 0),
    )
    return decide(view, ask)


def standing_of(
    context: ApiContext,
    view: UserView,
    tunnel: Tunnel,
    source_ip: str,
    offline: Mapping[str, datetime],
) -> Standing:
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
        reason = reasons[0].removeprefix(f"{tunnel.name}: ")
        return Standing(False, reason[:1].upper() + reason[1:], is_open=is_open)
    last_seen = offline.get(tunnel.site_id)
    if last_seen is None:
        return Standing(True, "Ready", is_open=is_open)
    if last_seen is _NEVER_SEEN:
        return Standing(False, f"Site {tunnel.site_name} has no connector yet", is_open=is_open)
    form = "%H:%M UTC" if context.now() - last_seen < _A_DAY else "%Y-%m-%d %H:%M UTC"
    return Standing(False, f"Site offline since {last_seen:{form}}", is_open=is_open)

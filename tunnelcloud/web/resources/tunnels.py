"""Tunnels, with how each stands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tunnelcloud.domain.advice import target_warning
from tunnelcloud.domain.objects.sites import Tunnel as KeptTunnel
from tunnelcloud.store import tunnels
from tunnelcloud.store.column_types import plain
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.interfaces import LastCheck
from tunnelcloud.web.models.assignments import NewAssignment
from tunnelcloud.web.models.tunnels import (
    PUBLISHED,
    NewTunnel,
    Tunnel,
    TunnelAnswered,
    TunnelChange,
    TunnelQuery,
)
from tunnelcloud.web.resources.collection import Kind, Show, Shower, collection_routes
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.tunnel_standing import reader_of_sites, standing_of
from tunnelcloud.web.routes import Route


async def _tunnel_warnings(
    context: ApiContext, tunnel: KeptTunnel, given: Collection[str]
) -> list[str]:
    warnings = [target_warning(tunnel.target_address)] if "target_address" in given else []
    if tunnel.external_address is not None and "external_address" in given:
        found = await context.live.external_address_warning(tunnel.external_address)
        warnings.append(found or "")
    return list(filter(None, warnings))


def _create_tunnel(
    transaction: Transaction, *, assignments: Sequence[NewAssignment] = (), **values: Any
) -> KeptTunnel:
    given = [one.given() for one in assignments]
    return tunnels.create_assigned(transaction, given, **values)


def _tunnel_shower(context: ApiContext) -> Shower:
    reads = reader_of_sites(context)

    def shower(transaction: Transaction, found: Sequence[KeptTunnel]) -> Show:
        sites = reads(transaction, found)

        def show(tunnel: KeptTunnel) -> dict[str, Any]:
            stands = standing_of(context, tunnel, sites)
            return {
                **PUBLISHED(tunnel),
                "last_check": _last_seen(context.live.last_check(tunnel.id)),
                "standing": str(stands.kind),
                "state": stands.text,
            }

        return show

    return shower


TUNNEL = Kind(
    noun="tunnel",
    plural="tunnels",
    shown=Tunnel,
    new=NewTunnel,
    change=TunnelChange,
    query=TunnelQuery,
    get=tunnels.get,
    list_page=tunnels.list_page,
    create=_create_tunnel,
    update=tunnels.update,
    delete=tunnels.delete,
    show=None,
    answered=TunnelAnswered,
    warn=_tunnel_warnings,
    shower=_tunnel_shower,
)


def _last_seen(found: LastCheck | None) -> dict[str, Any] | None:
    if found is None or not found.steps:
        return None
    last = found.steps[-1]
    return {
        "checked_at": plain(found.at),
        "ok": found.ok,
        "text": last.text,
        "warning": last.warning,
        "certificate_ends_at": plain(last.certificate and last.certificate.ends_at),
    }


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for tunnels."""
    return collection_routes(context, TUNNEL)

"""Sites, connectors, tunnels, users, groups, policies and assignments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tunnelcloud.domain import entities
from tunnelcloud.domain.advice import target_warning
from tunnelcloud.store import groups, policies, sites, tunnels, users
from tunnelcloud.store.column_types import plain
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.interfaces import LastCheck
from tunnelcloud.web.models import objects as models
from tunnelcloud.web.models.plain_values import PUBLISHED, values_as
from tunnelcloud.web.resources.collection import Kind, Show, Shower, collection_routes
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.tunnel_standing import reader_of_sites, standing_of
from tunnelcloud.web.routes import Route

SITE = Kind(
    noun="site",
    plural="sites",
    shown=models.Site,
    new=models.NewSite,
    change=models.SiteChange,
    query=models.SiteQuery,
    get=sites.get,
    list_page=sites.list_page,
    create=sites.create,
    update=sites.update,
    delete=sites.delete,
    show=values_as(models.Site),
)


async def _tunnel_warnings(
    context: ApiContext, tunnel: entities.Tunnel, given: Collection[str]
) -> list[str]:
    warnings = [target_warning(tunnel.target_address)] if "target_address" in given else []
    if tunnel.external_address is not None and "external_address" in given:
        found = await context.live.external_address_warning(tunnel.external_address)
        warnings.append(found or "")
    return list(filter(None, warnings))


def _create_tunnel(
    transaction: Transaction, *, assignments: Sequence[models.NewAssignment] = (), **values: Any
) -> entities.Tunnel:
    given = [one.given() for one in assignments]
    return tunnels.create_assigned(transaction, given, **values)


def _tunnel_shower(context: ApiContext) -> Shower:
    reads = reader_of_sites(context)

    def shower(transaction: Transaction, found: Sequence[entities.Tunnel]) -> Show:
        sites = reads(transaction, found)

        def show(tunnel: entities.Tunnel) -> dict[str, Any]:
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
    shown=models.Tunnel,
    new=models.NewTunnel,
    change=models.TunnelChange,
    query=models.TunnelQuery,
    get=tunnels.get,
    list_page=tunnels.list_page,
    create=_create_tunnel,
    update=tunnels.update,
    delete=tunnels.delete,
    show=PUBLISHED,
    answered=models.TunnelAnswered,
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


USER = Kind(
    noun="user",
    plural="users",
    shown=models.User,
    new=models.NewUser,
    change=models.UserChange,
    query=models.UserQuery,
    get=users.get,
    list_page=users.list_page,
    create=users.create,
    update=users.update,
    delete=users.delete,
    show=values_as(models.User),
)

GROUP = Kind(
    noun="group",
    plural="groups",
    shown=models.Group,
    new=models.NewGroup,
    change=models.GroupChange,
    query=models.GroupQuery,
    get=groups.get,
    list_page=groups.list_page,
    create=groups.create,
    update=groups.update,
    delete=groups.delete,
    show=values_as(models.Group),
)


POLICY = Kind(
    noun="policy",
    plural="policies",
    shown=models.Policy,
    new=models.NewPolicy,
    change=models.PolicyChange,
    query=models.PolicyQuery,
    get=policies.get,
    list_page=policies.list_page,
    create=policies.create,
    update=policies.update,
    delete=policies.delete,
    show=values_as(models.Policy),
)


def object_routes(context: ApiContext) -> list[Route]:
    """Make the rows for what administrators make and name."""
    return [
        route
        for kind in (SITE, TUNNEL, USER, GROUP, POLICY)
        for route in collection_routes(context, kind)
    ]

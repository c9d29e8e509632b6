"""The whole web listener: what is at which address."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

from tunnelcloud.domain.addresses import Network
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.web import machine_pages
from tunnelcloud.web.api import ApiResource
from tunnelcloud.web.authentication import BearerAuthenticator
from tunnelcloud.web.http_limits import MAX_CONNECTIONS, LimitedSite
from tunnelcloud.web.portal_entrance import PortalEntrance
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resource_loading import api_parts
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, Part, Route, RouteTable

BIG_BODIES = (b"/api/v1/apply",)
"""Where a body may be a whole configuration: the rows of the table that are ``is_big``."""


def route_table(context: ApiContext, version: str) -> RouteTable:
    """Put all parts together, and the document that describes them."""

    def openapi() -> list[Route]:
        from tunnelcloud.web.openapi import openapi_route

        return [openapi_route(table, context.worker.run, version)]

    parts = [Part(frozenset({"openapi.json"}), openapi), *api_parts(context)]
    table = RouteTable(parts, context.showing.run)
    return table


class _BesidePages(Resource):
    """What has a place of its own, and the portal everywhere else."""

    def __init__(self, portal: Resource) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._portal = portal

    def getChild(self, path: bytes, request: IRequest) -> Resource:
        """Leave it to the portal."""
        return self._portal

    def render(self, request: IRequest) -> object:
        """Leave this place itself to it, too."""
        return self._portal.render(request)


def make_site(
    context: ApiContext,
    *,
    version: str,
    metrics: machine_pages.Metrics | None,
    ready_checks: Mapping[str, machine_pages.ReadyCheck],
    proxies: tuple[Network, ...] = (),
    room: int = MAX_CONNECTIONS,
    warning: machine_pages.ReadyCheck = lambda: None,
    challenge_answer: Callable[[str], str | None] | None = None,
) -> LimitedSite:
    """Make the factory of the web listener.

    :param version: the program's.
    :param metrics: gives what ``/metrics`` shows to this machine; None if it isn't here.
    :param ready_checks: each says why the pod isn't ready, or None.
    :param proxies: whose word on a client's address is believed.
    :param room: how many connections there may be.
    :param warning: says to anybody what is wrong and in nobody's way, or gives None.
    :param challenge_answer: answers an authority that checks a name (ACME), by the token it has.
    """
    table = route_table(context, version)
    portal = PortalEntrance(context, table)

    def ending() -> str | None:
        return "; ".join(one.outline for one in context.live.ending()) or None

    root = _BesidePages(portal)
    root.putChild(b"healthz", machine_pages.health())
    warnings = (context.sightings.outline, warning, ending)
    root.putChild(b"readyz", machine_pages.readiness(ready_checks, warnings))
    if challenge_answer is not None:
        well_known = _BesidePages(portal)
        root.putChild(b".well-known", well_known)
        well_known.putChild(b"acme-challenge", machine_pages.Challenges(challenge_answer))
    if metrics is not None:
        root.putChild(b"metrics", machine_pages.MetricsBesidePages(metrics))
    root.putChild(b"known_hosts", machine_pages.known_hosts(context.live.known_hosts_lines))
    api = _BesidePages(portal)
    root.putChild(b"api", api)
    authenticator = BearerAuthenticator(context)
    api.putChild(
        b"v1",
        ApiResource(
            table,
            authenticator.authenticate,
            context.clock,
            context.worker,
            context.showing,
            context.users,
        ),
    )

    async def is_administrator(request: IRequest) -> bool:
        try:
            caller = await authenticator.authenticate(request)
        except (Problem, StoreUnavailable):
            return False  # the API says why
        return caller.role in ADMINS

    big_bodies = dict.fromkeys(BIG_BODIES, is_administrator)
    return LimitedSite(root, context.clock, proxies, big_bodies, room, context.sightings)


def metrics_site(metrics: machine_pages.Metrics, clock: IReactorTime) -> LimitedSite:
    """Make the factory of the listener that only monitoring reaches."""
    root = Resource()
    root.putChild(b"metrics", machine_pages.MetricsResource(metrics))
    root.putChild(b"healthz", machine_pages.health())
    return LimitedSite(root, clock)

"""The whole web listener: what is at which address."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

from tunnelcloud.domain.addresses import Network
from tunnelcloud.web import machine_pages
from tunnelcloud.web.api import ApiResource
from tunnelcloud.web.authentication import BearerAuthenticator
from tunnelcloud.web.encoding import encode_json
from tunnelcloud.web.http_limits import MAX_CONNECTIONS, LimitedSite
from tunnelcloud.web.openapi import Described, openapi_document
from tunnelcloud.web.portal.tree import portal_resource
from tunnelcloud.web.resources.activity import activity_routes
from tunnelcloud.web.resources.api_tokens import api_token_routes
from tunnelcloud.web.resources.approvals import approval_routes
from tunnelcloud.web.resources.assignments import assignment_routes, member_routes
from tunnelcloud.web.resources.authorities import authority_routes
from tunnelcloud.web.resources.connectors import connector_routes
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.decisions import decision_routes
from tunnelcloud.web.resources.device_logins import device_login_routes
from tunnelcloud.web.resources.documents import document_routes
from tunnelcloud.web.resources.host_keys import host_key_routes
from tunnelcloud.web.resources.identities import identity_routes
from tunnelcloud.web.resources.identity_providers import identity_provider_routes
from tunnelcloud.web.resources.keys import key_routes
from tunnelcloud.web.resources.lockouts import lockout_routes
from tunnelcloud.web.resources.objects import object_routes
from tunnelcloud.web.resources.policy_previews import policy_preview_routes
from tunnelcloud.web.resources.settings import setting_routes
from tunnelcloud.web.resources.summaries import summary_routes
from tunnelcloud.web.resources.tokens import token_routes
from tunnelcloud.web.routes import ANONYMOUS, Call, Encoded, Route, RouteTable


def route_table(context: ApiContext, version: str) -> RouteTable:
    """Put all rows together, and the document that describes them."""

    def document() -> Encoded:
        body = encode_json(openapi_document(described, version))
        return Encoded(body, hashlib.sha256(body).hexdigest()[:16])

    async def openapi(_: Call) -> Encoded:
        if not made:  # the first time takes 300 ms
            made.append(await context.worker.run(document))
        return made[0]

    made: list[Encoded] = []

    described = RouteTable(
        (
            Route(
                "GET",
                "/openapi.json",
                "openapi",
                "Describe this API, in OpenAPI 3.1.",
                ANONYMOUS,
                openapi,
                answer=Described,
            ),
            *object_routes(context),
            *policy_preview_routes(context),
            *lockout_routes(context),
            *connector_routes(context),
            *assignment_routes(context),
            *member_routes(context),
            *key_routes(context),
            *token_routes(context),
            *api_token_routes(context),
            *identity_provider_routes(context),
            *identity_routes(context),
            *device_login_routes(context),
            *approval_routes(context),
            *activity_routes(context),
            *host_key_routes(context),
            *authority_routes(context),
            *decision_routes(context),
            *document_routes(context),
            *setting_routes(context),
            *summary_routes(context),
        )
    )
    return described


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
    registry: CollectorRegistry | None,
    ready_checks: Mapping[str, machine_pages.ReadyCheck],
    proxies: tuple[Network, ...] = (),
    room: int = MAX_CONNECTIONS,
    warning: machine_pages.ReadyCheck = lambda: None,
    challenge_answer: Callable[[str], str | None] | None = None,
) -> LimitedSite:
    """Make the factory of the web listener.

    :param version: the program's.
    :param registry: what ``/metrics`` shows; None if it is not on this listener.
    :param ready_checks: each says why the pod isn't ready, or None.
    :param proxies: whose word on a client's address is believed.
    :param room: how many connections there may be.
    :param warning: says to anybody what is wrong and in nobody's way, or gives None.
    :param challenge_answer: answers an authority that checks a name (ACME), by the token it has.
    """
    table = route_table(context, version)
    portal = portal_resource(context, table)

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
    if registry is not None:
        root.putChild(b"metrics", machine_pages.metrics(registry))
    root.putChild(b"known_hosts", machine_pages.known_hosts(context.live.known_hosts_lines))
    api = _BesidePages(portal)
    root.putChild(b"api", api)
    authenticator = BearerAuthenticator(context)
    api.putChild(
        b"v1", ApiResource(table, authenticator.authenticate, context.clock, context.worker)
    )
    big_bodies = [f"/api/v1{route.path}".encode() for route in table.routes if route.is_big]
    return LimitedSite(root, context.clock, proxies, big_bodies, room, context.sightings)


def metrics_site(registry: CollectorRegistry, clock: IReactorTime) -> LimitedSite:
    """Make the factory of the listener that only monitoring reaches."""
    root = Resource()
    root.putChild(b"metrics", machine_pages.metrics(registry))
    root.putChild(b"healthz", machine_pages.health())
    return LimitedSite(root, clock)

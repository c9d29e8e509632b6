"""All pages, put together."""

from __future__ import annotations

from tunnelcloud.store.refusals import Refusals
from tunnelcloud.web.oidc.client import Client
from tunnelcloud.web.oidc.directory import Directory
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.live_hub import Hub
from tunnelcloud.web.portal.page_requests import PageRoute, Shown, Visit, values_of
from tunnelcloud.web.portal.pages.access import access_pages
from tunnelcloud.web.portal.pages.account import account_pages
from tunnelcloud.web.portal.pages.api_reference import reference_pages
from tunnelcloud.web.portal.pages.applications import application_pages
from tunnelcloud.web.portal.pages.assignee_fields import suggestion_pages
from tunnelcloud.web.portal.pages.audit import history_pages
from tunnelcloud.web.portal.pages.browser_login import browser_login_pages
from tunnelcloud.web.portal.pages.deletions import taking_pages
from tunnelcloud.web.portal.pages.device_login import device_pages
from tunnelcloud.web.portal.pages.explain import explain_pages
from tunnelcloud.web.portal.pages.grants import grant_pages
from tunnelcloud.web.portal.pages.invitations import invitation_pages
from tunnelcloud.web.portal.pages.key_rotation import rotation_pages
from tunnelcloud.web.portal.pages.making_keys import key_making_pages
from tunnelcloud.web.portal.pages.objects import object_handlers, object_pages
from tunnelcloud.web.portal.pages.overview import overview_pages
from tunnelcloud.web.portal.pages.own_keys import key_pages
from tunnelcloud.web.portal.pages.own_sessions import own_session_pages
from tunnelcloud.web.portal.pages.policy_preview import policy_preview_pages
from tunnelcloud.web.portal.pages.provider_sign_in import provider_pages
from tunnelcloud.web.portal.pages.requests import request_pages
from tunnelcloud.web.portal.pages.search import search_pages
from tunnelcloud.web.portal.pages.sessions import session_pages
from tunnelcloud.web.portal.pages.settings import settings_pages
from tunnelcloud.web.portal.pages.sign_in import sign_in_pages
from tunnelcloud.web.portal.pages.tunnel_page import panel_pages
from tunnelcloud.web.portal.pages.unfinished_forms import resuming_pages
from tunnelcloud.web.portal.pages.unused import unused_pages
from tunnelcloud.web.portal.passwords import Passwords
from tunnelcloud.web.portal.rendering import Renderer
from tunnelcloud.web.portal.resource import PortalResource
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import RouteTable


def page_table(context: ApiContext, table: RouteTable) -> list[PageRoute]:
    """Make the rows of all pages.

    :param table: the API's operations, which pages use as clients of the API do.
    """
    passwords = Passwords(context.store.reactor, context.random)
    attempts = context.attempts
    client = Client(
        Directory(context.fetch, context.clock.seconds),
        context.fetch,
        lambda: context.now().timestamp(),
    )
    refusals = Refusals(context.store, context.clock)
    operations = Operations(table)
    objects = object_handlers(context, operations)
    return [
        *sign_in_pages(context, passwords, attempts, client, refusals),
        *invitation_pages(context, passwords),
        *application_pages(context),
        *panel_pages(context, operations),
        *provider_pages(context, operations, client, refusals),
        *key_pages(context, operations),
        *key_making_pages(context, operations),
        *own_session_pages(context, operations),
        *device_pages(context, attempts),
        *browser_login_pages(context, attempts),
        *grant_pages(context, operations),
        *request_pages(context, operations),
        *resuming_pages(context),
        *account_pages(context, operations, passwords, attempts, refusals),
        *overview_pages(context, operations),
        *policy_preview_pages(operations, objects["policy"]),
        *object_pages(objects),
        *access_pages(context, operations, objects),
        *suggestion_pages(context),
        *taking_pages(context, operations),
        *search_pages(context, operations),
        *unused_pages(context),
        *session_pages(context, operations),
        *explain_pages(context, operations),
        *history_pages(context, operations),
        *settings_pages(context, operations),
        *rotation_pages(operations),
        *reference_pages(table),
    ]


def portal_resource(context: ApiContext, table: RouteTable) -> PortalResource:
    """Make the resource for all addresses that nothing else of the listener answers."""
    pages, renderer = page_table(context, table), Renderer()
    # The pages of failures are made in the reactor's thread, and the first one loads templates.
    failure = Shown("failed.html", {"title": "", "text": ""})
    renderer.render(failure.template, values_of(Visit("/", "", ""), failure, ""), context.now())
    hub = Hub(context, pages, renderer)
    return PortalResource(context, [*pages, hub.route()], renderer)

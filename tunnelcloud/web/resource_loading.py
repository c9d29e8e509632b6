"""The parts of the API: which words of a path lead to which of the resources' modules.

No resource is imported here before it is asked for.  Importing a part and its models takes some
20 ms and up to a megabyte, and most pods are asked for few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import Part, Route


def api_parts(context: ApiContext) -> list[Part]:
    """Make the parts, in the order in which the API's description has their operations."""
    return [Part(frozenset(words.split()), partial(make, context)) for words, make in _PARTS]


def _sites(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.sites import site_routes

    return site_routes(context)


def _tunnels(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.tunnels import tunnel_routes

    return tunnel_routes(context)


def _users(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.users import user_routes

    return user_routes(context)


def _policies(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.policies import policy_routes

    return policy_routes(context)


def _policy_previews(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.policy_previews import policy_preview_routes

    return policy_preview_routes(context)


def _lockouts(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.lockouts import lockout_routes

    return lockout_routes(context)


def _connectors(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.connectors import connector_routes

    return connector_routes(context)


def _assignments(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.assignments import assignment_routes, member_routes

    return [*assignment_routes(context), *member_routes(context)]


def _keys(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.keys import key_routes

    return key_routes(context)


def _tokens(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.tokens import token_routes

    return token_routes(context)


def _api_tokens(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.api_tokens import api_token_routes

    return api_token_routes(context)


def _identity_providers(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.identity_providers import identity_provider_routes

    return identity_provider_routes(context)


def _identities(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.identities import identity_routes

    return identity_routes(context)


def _device_logins(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.device_logins import device_login_routes

    return device_login_routes(context)


def _approvals(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.approvals import approval_routes

    return approval_routes(context)


def _activity(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.activity import activity_routes

    return activity_routes(context)


def _host_keys(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.host_keys import host_key_routes

    return host_key_routes(context)


def _authorities(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.authorities import authority_routes

    return authority_routes(context)


def _decisions(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.decisions import decision_routes

    return decision_routes(context)


def _documents(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.documents import document_routes

    return document_routes(context)


def _settings(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.settings import setting_routes

    return setting_routes(context)


def _summaries(context: ApiContext) -> Iterable[Route]:
    from tunnelcloud.web.resources.summaries import summary_routes

    return summary_routes(context)


_PARTS: tuple[tuple[str, Callable[[ApiContext], Iterable[Route]]], ...] = (
    ("sites", _sites),
    ("tunnels", _tunnels),
    ("users groups", _users),
    ("policies", _policies),
    ("preview", _policy_previews),
    ("lockouts", _lockouts),
    ("connectors", _connectors),
    ("assignments members", _assignments),
    ("keys", _keys),
    ("tokens", _tokens),
    ("api-tokens api-token invitations second-factor", _api_tokens),
    ("identity-providers", _identity_providers),
    ("identities", _identities),
    ("device-logins", _device_logins),
    ("requests grants", _approvals),
    ("sessions channels audit pods", _activity),
    ("host-keys", _host_keys),
    ("authority", _authorities),
    ("me explain check", _decisions),
    ("apply export", _documents),
    ("settings", _settings),
    ("deletion statistics", _summaries),
)
"""The words of paths, and what makes the rows that they lead to."""

"""The parts of the API: which words of a path lead to which of the resources' modules.

No resource is imported here before it is asked for.  Importing a part and its models takes some
20 ms and up to a megabyte, and most pods are asked for few of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib import import_module

from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import Part, Route

WORDS: Mapping[str, str] = {
    "sites": "sites",
    "tunnels": "tunnels",
    "users": "users groups",
    "policies": "policies",
    "policy_previews": "preview",
    "lockouts": "lockouts",
    "connectors": "connectors",
    "assignments": "assignments members",
    "keys": "keys",
    "tokens": "tokens",
    "api_tokens": "api-tokens api-token invitations second-factor",
    "identity_providers": "identity-providers",
    "identities": "identities",
    "device_logins": "device-logins",
    "approvals": "requests grants",
    "activity": "sessions channels audit",
    "pods": "pods",
    "host_keys": "host-keys",
    "authorities": "authority",
    "decisions": "me explain check",
    "documents": "apply export",
    "settings": "settings",
    "summaries": "deletion statistics",
}
"""The modules of ``tunnelcloud.web.resources`` that make rows, and the words of paths that lead to
each, in the order in which the API's description has them."""


def api_parts(context: ApiContext) -> list[Part]:
    """Make the parts of the API, none of which is loaded yet."""
    return [
        Part(frozenset(words.split()), partial(_rows, module, context))
        for module, words in WORDS.items()
    ]


def _rows(module: str, context: ApiContext) -> list[Route]:
    found = import_module(f"tunnelcloud.web.resources.{module}")
    rows: list[Route] = found.make_routes(context)
    return rows

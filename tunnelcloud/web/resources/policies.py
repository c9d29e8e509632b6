"""Policies."""

from __future__ import annotations

from tunnelcloud.store import policies
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.models.policies import NewPolicy, Policy, PolicyChange, PolicyQuery
from tunnelcloud.web.resources.collection import Kind, collection_routes
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import Route

POLICY = Kind(
    noun="policy",
    plural="policies",
    shown=Policy,
    new=NewPolicy,
    change=PolicyChange,
    query=PolicyQuery,
    get=policies.get,
    list_page=policies.list_page,
    create=policies.create,
    update=policies.update,
    delete=policies.delete,
    show=values_as(Policy),
)


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for policies."""
    return collection_routes(context, POLICY)

"""Sites."""

from __future__ import annotations

from tunnelcloud.store import sites
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.models.sites import NewSite, Site, SiteChange, SiteQuery
from tunnelcloud.web.resources.collection import Kind, collection_routes
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import Route

SITE = Kind(
    noun="site",
    plural="sites",
    shown=Site,
    new=NewSite,
    change=SiteChange,
    query=SiteQuery,
    get=sites.get,
    list_page=sites.list_page,
    create=sites.create,
    update=sites.update,
    delete=sites.delete,
    show=values_as(Site),
)


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for sites."""
    return collection_routes(context, SITE)

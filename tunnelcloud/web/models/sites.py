"""Models of sites."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunnelcloud.domain.objects import SITE
from tunnelcloud.web.models.fields import NamedQuery, Order
from tunnelcloud.web.models.object_models import change_model, new_model, shown_model


class SiteQuery(NamedQuery):
    """Asks for sites."""

    sort: Annotated[str, Order("connectors", "tunnels")] = "created_at"
    has_connectors: bool | None = Field(
        default=None, description="Those with connectors, or without."
    )
    has_tunnels: bool | None = Field(default=None, description="Those with tunnels, or without.")


Site = shown_model(SITE, "Site", "A private network.")
NewSite = new_model(SITE, "NewSite", "Makes a site.")
SiteChange = change_model(SITE, "SiteChange", "Changes a site.")

"""Sites.  Deleting one deletes its connectors and tunnels."""

from __future__ import annotations

from sqlalchemy import select

from tunnelcloud.domain.objects.sites import Site
from tunnelcloud.store.connectors import CONNECTORS
from tunnelcloud.store.filters import as_referred, equals, has, searches
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.orders import number_of
from tunnelcloud.store.schema import connectors as connectors_table
from tunnelcloud.store.schema import sites as table
from tunnelcloud.store.schema import tunnels as tunnels_table
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.tunnels import TUNNELS

_CONNECTORS_OF = select(connectors_table.c.id).where(
    connectors_table.c.site_id == as_referred(table.c.id)
)
_TUNNELS_OF = select(tunnels_table.c.id).where(tunnels_table.c.site_id == as_referred(table.c.id))

SITES = Aggregate(
    "site",
    table,
    Site,
    filters={
        "name": equals(table.c.name),
        "q": searches(table.c.name, table.c.title),
        "has_connectors": has(_CONNECTORS_OF),
        "has_tunnels": has(_TUNNELS_OF),
    },
    sorts={
        "name": table.c.name,
        "connectors": number_of(_CONNECTORS_OF),
        "tunnels": number_of(_TUNNELS_OF),
    },
)

get = SITES.get
list_page = SITES.list_page
count = SITES.count
create = SITES.new
update = SITES.update


def delete(transaction: Transaction, site_id: str, *, expected_version: str | None = None) -> Site:
    """Delete a site with its connectors and tunnels, each of which the audit names.

    :raise NotFound: there is no such site.
    :raise Stale: it isn't of the expected version any more.
    """
    SITES.lock(transaction, site_id, expected_version)
    for dependent in (CONNECTORS, TUNNELS):
        dependent.delete_all(transaction, "site_id", site_id)
    return SITES.delete(transaction, site_id)

"""Which connectors are attached to a pod, and so which sites can be reached."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from attrs import frozen

from tunnelcloud.domain.entities import Connector
from tunnelcloud.store import access, read_models
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.resources.attachments import Attachments

_MOST_UNWELL = 20


@frozen
class SiteHealth:
    """How many of a site's connectors are attached.

    :ivar since: when the last of them was seen, if none is attached.
    """

    id: str
    name: str
    attached: int
    connectors: int
    tunnels: int
    since: datetime | None = None

    @property
    def well(self) -> bool:
        """Whether all of them are."""
        return self.attached == self.connectors > 0


def site_healths(
    transaction: Transaction, ids: Collection[str], attachments: Attachments
) -> dict[str, SiteHealth]:
    """Tell how some sites fare, by id."""
    names = access.names_of(transaction, "site", ids)
    found = read_models.connectors_of(transaction, names)
    published = read_models.tunnels_of_sites(transaction, names)
    return {
        site_id: _health(
            site_id,
            name,
            [one for one in found if one.site_id == site_id],
            attachments,
            published.get(site_id, 0),
        )
        for site_id, name in names.items()
    }


def _health(
    site_id: str,
    name: str,
    connectors: Iterable[Connector],
    attachments: Attachments,
    tunnels: int,
) -> SiteHealth:
    known = list(connectors)
    attached = sum(attachments.have(one) for one in known)
    seen = [one.last_seen_at for one in known if one.last_seen_at is not None]
    since = max(seen) if seen and not attached else None
    return SiteHealth(site_id, name, attached, len(known), tunnels, since)


def unwell_sites(transaction: Transaction, attachments: Attachments) -> list[SiteHealth]:
    """List sites that have not all of their connectors attached, the worst first."""
    one = attachments
    ids = read_models.sites_without(transaction, one.here, one.lost, one.seen_since, _MOST_UNWELL)
    healths = site_healths(transaction, ids, one).values()
    unwell = [health for health in healths if not health.well]
    return sorted(unwell, key=lambda one: (one.attached > 0, -one.tunnels, one.name))

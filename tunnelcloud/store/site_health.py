"""Decides whether connectors are attached to pods, and so which sites can be reached."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from datetime import datetime, timedelta

from attrs import frozen

from tunnelcloud.domain.objects.sites import Connector
from tunnelcloud.store import list_counts, user_views
from tunnelcloud.store.transaction import Transaction

_STILL_WRITING = timedelta(seconds=2)
"""Seconds after the loss of a link in which this pod's own note may reach the store."""
_MOST_UNWELL = 20


@frozen
class Attachments:
    """What this pod knows of its own links, and from when on a note of another one counts.

    :ivar here: ids of the connectors that are attached to this pod.
    :ivar lost: when this pod lost connectors lately, by their ids.
    :ivar seen_since: who was seen since then, and not lost here after it, is attached elsewhere.
    """

    here: Set[str]
    lost: Mapping[str, datetime]
    seen_since: datetime

    def have(self, connector: Connector) -> bool:
        """Tell whether a connector is attached to this pod or another."""
        if connector.id in self.here:
            return True
        seen, lost = connector.last_seen_at, self.lost.get(connector.id)
        if seen is None or seen <= self.seen_since:
            return False
        return lost is None or seen > lost + _STILL_WRITING


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


def offline_sites(
    transaction: Transaction, site_ids: Collection[str], attachments: Attachments
) -> dict[str, datetime | None]:
    """Tell which of some sites have no connector attached, and when each last had one."""
    known = list_counts.connectors_of(transaction, site_ids)
    attached = {one.site_id for one in known if attachments.have(one)}
    found: dict[str, datetime | None] = {one: None for one in site_ids if one not in attached}
    for one in known:
        if one.site_id in found and one.last_seen_at is not None:
            found[one.site_id] = max(found[one.site_id] or one.last_seen_at, one.last_seen_at)
    return found


def site_healths(
    transaction: Transaction, ids: Collection[str], attachments: Attachments
) -> dict[str, SiteHealth]:
    """Return the state of some sites, by id."""
    names = user_views.names_of(transaction, "site", ids)
    found = list_counts.connectors_of(transaction, names)
    published = list_counts.tunnels_of_sites(transaction, names)
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
    ids = list_counts.sites_without(transaction, one.here, one.lost, one.seen_since, _MOST_UNWELL)
    healths = site_healths(transaction, ids, one).values()
    unwell = [health for health in healths if not health.well]
    return sorted(unwell, key=lambda one: (one.attached > 0, -one.tunnels, one.name))


def counts_and_healths(
    transaction: Transaction,
    tunnel_ids: Collection[str],
    site_ids: Collection[str],
    attachments: Attachments,
) -> tuple[list_counts.TunnelCounts, dict[str, SiteHealth]]:
    """Read the columns of lists of tunnels: each one's counts, and the sites' state."""
    counts = list_counts.of_tunnels(transaction, tunnel_ids)
    return counts, site_healths(transaction, site_ids, attachments)

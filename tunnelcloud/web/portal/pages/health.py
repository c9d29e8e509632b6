"""Which connectors are attached to a pod, and so which sites can be reached."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from datetime import datetime, timedelta

from attrs import frozen

from tunnelcloud.domain.entities import Connector
from tunnelcloud.store import access, glance
from tunnelcloud.store.transaction import Transaction

_ATTACHED_ELSEWHERE = timedelta(seconds=60)


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


def is_attached(connector: Connector, here: Set[str], now: datetime) -> bool:
    """Tell whether a connector is attached to this pod, or was seen by another one."""
    seen = connector.last_seen_at
    return connector.id in here or (seen is not None and seen > now - _ATTACHED_ELSEWHERE)


def site_healths(
    transaction: Transaction, ids: Collection[str], here: Set[str]
) -> dict[str, SiteHealth]:
    """Tell how some sites fare, by id.

    :param here: connectors that are attached to this pod.
    """
    names = access.names_of(transaction, "site", ids)
    found = glance.connectors_of(transaction, names)
    published = glance.tunnels_of_sites(transaction, names)
    return {
        site_id: _health(
            transaction.now(),
            site_id,
            name,
            [one for one in found if one.site_id == site_id],
            here,
            published.get(site_id, 0),
        )
        for site_id, name in names.items()
    }


def _health(
    now: datetime,
    site_id: str,
    name: str,
    connectors: Iterable[Connector],
    here: Set[str],
    tunnels: int,
) -> SiteHealth:
    known = list(connectors)
    attached = sum(is_attached(one, here, now) for one in known)
    seen = [one.last_seen_at for one in known if one.last_seen_at is not None]
    since = max(seen) if seen and not attached else None
    return SiteHealth(site_id, name, attached, len(known), tunnels, since)


def unwell_sites(transaction: Transaction, here: Set[str], at_most: int = 20) -> list[SiteHealth]:
    """List sites that have not all of their connectors attached, the worst first."""
    ids = glance.sites_without(transaction, here, transaction.now() - _ATTACHED_ELSEWHERE, at_most)
    healths = site_healths(transaction, ids, here).values()
    return sorted(healths, key=lambda one: (one.attached > 0, -one.tunnels, one.name))

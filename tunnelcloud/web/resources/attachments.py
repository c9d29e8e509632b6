"""Whether a connector is attached to a pod, and so a site offline: decided here alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from datetime import datetime, timedelta

from attrs import frozen

from tunnelcloud.domain.entities import Connector, Tunnel
from tunnelcloud.store import read_models
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.interfaces import NOTED_WITHIN
from tunnelcloud.web.resources.context import ApiContext

_STILL_WRITING = timedelta(seconds=2)
"""A note of this pod's own may reach the store so long after the link went."""
_A_DAY = timedelta(days=1)


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

    @classmethod
    def of(cls, context: ApiContext) -> Attachments:
        """Look at what is attached now."""
        live = context.live
        return cls(
            frozenset(live.connector_health()),
            dict(live.lost_connectors()),
            # Before it started nobody but another pod could have seen any; they all come here soon.
            max(context.now() - NOTED_WITHIN, live.started_at),
        )

    def have(self, connector: Connector) -> bool:
        """Tell whether a connector is attached to this pod or another."""
        if connector.id in self.here:
            return True
        seen, lost = connector.last_seen_at, self.lost.get(connector.id)
        if seen is None or seen <= self.seen_since:
            return False
        return lost is None or seen > lost + _STILL_WRITING


def offline_sites(
    transaction: Transaction, site_ids: Collection[str], attachments: Attachments
) -> dict[str, datetime | None]:
    """Tell which of some sites have no connector attached, and when each last had one."""
    known = read_models.connectors_of(transaction, site_ids)
    attached = {one.site_id for one in known if attachments.have(one)}
    found: dict[str, datetime | None] = {one: None for one in site_ids if one not in attached}
    for one in known:
        if one.site_id in found and one.last_seen_at is not None:
            found[one.site_id] = max(found[one.site_id] or one.last_seen_at, one.last_seen_at)
    return found


def offline_text(tunnel: Tunnel, last_seen: datetime | None, now: datetime) -> str:
    """Say since when a tunnel's site is offline.

    :param last_seen: as ``offline_sites`` gave it.
    """
    if last_seen is None:
        return f"site {tunnel.site_name} has no connector yet"
    form = "%H:%M UTC" if now - last_seen < _A_DAY else "%Y-%m-%d %H:%M UTC"
    return f"site offline since {last_seen:{form}}"

"""Whether a connector is attached to a pod: decided here alone."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime, timedelta

from attrs import frozen

from tunnelcloud.domain.entities import Connector
from tunnelcloud.web.interfaces import NOTED_WITHIN
from tunnelcloud.web.resources.context import ApiContext

_STILL_WRITING = timedelta(seconds=2)
"""A note of this pod's own may reach the store so long after the link went."""


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

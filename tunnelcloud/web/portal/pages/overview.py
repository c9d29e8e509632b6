"""The first page of administrators: how it goes, what is not well, what ends soon, what to do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from tunnelcloud.domain.certificates import ENDS_SOON
from tunnelcloud.store.overview import Overview, read_overview
from tunnelcloud.web.portal.charts import Bars, Spark, bars, spark
from tunnelcloud.web.portal.page_requests import PageRoute, Reply, Shown, Visit
from tunnelcloud.web.resources.attachments import attachments_now
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import READERS


def overview_pages(context: ApiContext) -> list[PageRoute]:
    """Make the row of the page table for the overview."""
    return [PageRoute("GET", "/admin", READERS, _OverviewPage(context).overview)]


@frozen
class Tile:
    """One number, and its day."""

    label: str
    value: int
    spark: Spark
    address: str
    kind: str = "count"


@frozen
class Chart:
    """One chart of a day."""

    label: str
    bars: Bars
    kind: str = "count"


@frozen
class _OverviewPage:
    context: ApiContext

    async def overview(self, visit: Visit) -> Reply:
        attachments = attachments_now(self.context)
        certificates = self.context.live.target_certificates()
        facts = await self.context.store.read(read_overview, attachments, certificates, ENDS_SOON)
        return Shown("admin_overview.html", _values(facts))


def _values(facts: Overview) -> dict[str, Any]:
    hours = facts.slots
    begins: list[datetime] = [hours.begin + timedelta(hours=n) for n in range(len(hours.sessions))]
    table = zip(begins, hours.sessions, hours.channels, hours.traffic, hours.refused, strict=True)
    return {
        "tiles": [
            Tile("Open sessions", facts.open_sessions, spark(hours.sessions), "/admin/sessions"),
            Tile("Open channels", facts.open_channels, spark(hours.channels), "/admin/sessions"),
            Tile("Traffic, last 24 h", sum(hours.traffic), spark(hours.traffic),
                 "/admin/sessions?live=false", "size"),
            Tile("Refused logins, last 24 h", sum(hours.refused), spark(hours.refused),
                 "/admin/audit?q=login.refused"),
        ],
        "charts": [
            Chart("Traffic", bars(hours.traffic, binary=True), "size"),
            Chart("Open sessions", bars(hours.sessions)),
            Chart("Refused logins", bars(hours.refused)),
        ],
        "hours": [(f"{begin:%Y-%m-%dT%H:%M:%SZ}", *row) for begin, *row in reversed(list(table))],
        "unwell": facts.unwell,
        "expiring": facts.expiring,
        "steps": facts.steps,
    }  # fmt: skip

"""The first page of administrators: how it goes, what is not well, what ends soon, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from tunnelcloud.domain.certificates import ENDS_SOON
from tunnelcloud.store import (
    assignments,
    channels,
    connectors,
    read_models,
    sessions,
    sites,
    statistics,
    tunnels,
    users,
)
from tunnelcloud.store.read_models import Expiring
from tunnelcloud.store.statistics import Hours
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal.charts import Bars, Spark, bars, spark
from tunnelcloud.web.portal.page_requests import PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.health import SiteHealth, unwell_sites
from tunnelcloud.web.resources.attachments import Attachments
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import READERS


def overview_pages(context: ApiContext) -> list[PageRoute]:
    """Make the row of the page table for the overview."""
    return [PageRoute("GET", "/admin", READERS, _Overview(context).overview)]


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
class _Facts:
    open_sessions: int
    open_channels: int
    hours: Hours
    unwell: list[SiteHealth]
    expiring: list[Expiring]
    steps: Mapping[str, bool]


@frozen
class _Overview:
    context: ApiContext

    async def overview(self, visit: Visit) -> Reply:
        attachments = Attachments.of(self.context)
        certificates = self.context.live.target_certificates()
        facts = await self.context.store.read(_look, attachments, certificates)
        return Shown("admin_overview.html", _values(facts))


def _look(
    transaction: Transaction, attachments: Attachments, certificates: Mapping[str, datetime]
) -> _Facts:
    carried = read_models.has_carried(transaction)
    return _Facts(
        sessions.count(transaction, live=True),
        channels.count(transaction, live=True),
        statistics.last_hours(transaction),
        unwell_sites(transaction, attachments),
        read_models.expiring(transaction, transaction.now() + ENDS_SOON, certificates),
        {}
        if carried
        else {
            "site": sites.count(transaction) > 0,
            "connector": connectors.count(transaction, joined=True) > 0,
            "tunnel": tunnels.count(transaction) > 0,
            "user": users.count(transaction) > 1,
            "assignment": assignments.count(transaction) > 0,
            "carried": False,
        },
    )


def _values(facts: _Facts) -> dict[str, Any]:
    hours = facts.hours
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

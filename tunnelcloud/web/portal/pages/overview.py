"""Administrators' first page: what needs attention, charts of traffic, and recent activity."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from tunnelcloud.domain.event_sentences import event_sentence
from tunnelcloud.domain.target_certificates import ENDS_SOON
from tunnelcloud.store.overview import Live, Overview, read_overview
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.charts import Bars, Spark, bars, spark
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.resources.attached_connectors import attachments_now
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS


def overview_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for the overview."""
    handlers = _OverviewPage(context, operations)
    return [
        PageRoute("GET", "/admin", READERS, handlers.overview, query=frozenset({"range"})),
        PageRoute("POST", "/admin/lockouts/lift", ADMINS, handlers.lift),
    ]


@frozen
class Range:
    """A length of time that charts can show.

    :ivar name: as the address has it, and as it is shown.
    :ivar slots: how many bars there are, each of so many seconds.
    :ivar every: of how many bars the first one's time is written below.
    :ivar pattern: how such a time is written.
    :ivar fresh: after how many seconds the page is read again: a longer range costs more.
    """

    name: str
    slots: int
    seconds: int
    every: int
    pattern: str
    fresh: int


RANGES = (
    Range("1 h", 12, 300, 3, "%H:%M", 10),
    Range("24 h", 24, 3600, 6, "%H:%M", 10),
    Range("7 d", 28, 6 * 3600, 4, "%a", 60),
    Range("30 d", 30, 24 * 3600, 7, "%b %-d", 300),
)
_USUAL = RANGES[1]


@frozen
class Tile:
    """One number, with a line of its values over time."""

    label: str
    value: int
    spark: Spark
    address: str
    kind: str = "count"


@frozen
class Chart:
    """One chart."""

    label: str
    bars: Bars
    kind: str = "count"


@frozen
class _OverviewPage:
    context: ApiContext
    operations: Operations

    async def overview(self, visit: Visit) -> Reply:
        asked = visit.query.get("range", "")
        shown = next((one for one in RANGES if one.name.replace(" ", "") == asked), _USUAL)
        live = Live(
            attachments_now(self.context),
            self.context.live.failing_targets(),
            self.context.live.target_certificates(),
        )
        facts = await self.context.store.read(
            read_overview, live, ENDS_SOON, shown.slots, shown.seconds
        )
        lockouts = await self.operations(visit, "GET", "/lockouts")
        values = {"lockouts": lockouts["items"], **_charts(facts, shown), **_words(facts)}
        return Shown("admin_overview.html", values)

    async def lift(self, visit: Visit) -> Reply:
        """Let somebody try again at once."""
        body = {name: visit.typed(name) for name in ("door", "source", "name")}
        await self.operations(visit, "POST", "/lockouts/lift", body)
        who = body["name"] or body["source"]
        return Moved("/admin", note=f"{who} may try again now.")


def _charts(facts: Overview, shown: Range) -> dict[str, Any]:
    slots = facts.slots
    length = timedelta(seconds=slots.seconds)
    begins: list[datetime] = [slots.begin + length * n for n in range(len(slots.sessions))]
    axis = [
        begin.strftime(shown.pattern) if place % shown.every == 0 else ""
        for place, begin in enumerate(begins)
    ]
    table = zip(begins, slots.sessions, slots.channels, slots.traffic, slots.refused, strict=True)
    return {
        "tiles": [
            Tile("Open sessions", facts.open_sessions, spark(slots.sessions), "/admin/sessions"),
            Tile("Open channels", facts.open_channels, spark(slots.channels), "/admin/sessions"),
            Tile(f"Traffic, last {shown.name}", sum(slots.traffic), spark(slots.traffic),
                 "/admin/sessions?live=false", "size"),
            Tile(f"Refused logins, last {shown.name}", sum(slots.refused), spark(slots.refused),
                 "/admin/audit?q=login.refused"),
        ],
        "charts": [
            Chart("Traffic", bars(slots.traffic, axis, binary=True), "size"),
            Chart("Open sessions", bars(slots.sessions, axis)),
            Chart("Refused logins", bars(slots.refused, axis)),
        ],
        "slots": [(f"{begin:%Y-%m-%dT%H:%M:%SZ}", *row) for begin, *row in reversed(list(table))],
        "ranges": [(one.name, one.name.replace(" ", ""), one is shown) for one in RANGES],
        "shown": shown,
    }  # fmt: skip


def _words(facts: Overview) -> Mapping[str, Any]:
    return {
        "unwell": facts.unwell,
        "failing": facts.failing,
        "expiring": facts.expiring,
        "waiting": facts.waiting,
        "unreviewed": facts.unreviewed,
        "recent": [
            (record.at.isoformat(), event_sentence(record.event, facts.groups))
            for record in facts.recent
        ],
        "steps": facts.steps,
    }

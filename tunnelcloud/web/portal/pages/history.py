"""The audit: searched, unfolded, exported."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from attrs import frozen

from tunnelcloud.domain.events import CATALOGUE
from tunnelcloud.store import glance
from tunnelcloud.web.portal.operations import Operations, faults
from tunnelcloud.web.portal.visits import Page, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import READERS

FILTERS = ("q", "event", "actor", "user_name", "tunnel_name", "source_ip", "since", "until")
_MOMENTS = ("since", "until")
_REFUSED = frozenset({"channel.refused"})


def history_pages(context: ApiContext, operations: Operations) -> list[Page]:
    """Make the rows of the page table for the audit."""
    return [Page("GET", "/admin/audit", READERS, _History(context, operations).audit)]


@frozen
class _History:
    context: ApiContext
    operations: Operations

    async def audit(self, visit: Visit) -> Reply:
        given = {name: visit.query.get(name, "").strip() for name in FILTERS}
        asked = {name: value for name, value in given.items() if value}
        for name in _MOMENTS:
            if name in asked:
                asked[name] = f"{asked[name]}Z"
        errors: dict[str, str] = {}
        page: dict[str, Any] = {"items": [], "next_cursor": None}
        cursor = visit.query.get("cursor")
        try:
            query = {**asked, **({"cursor": cursor} if cursor else {})}
            page = await self.operations(visit, "GET", "/audit", query=query)
        except Problem as problem:
            errors = faults(problem)
        kept = {name: value for name, value in given.items() if value}
        facets = await self.context.store.read(glance.latest_events)
        refused = [one["session_id"] for one in page["items"] if one["event"] in _REFUSED]
        values = {
            "events": page["items"],
            "next_cursor": page["next_cursor"],
            "given": given,
            "errors": errors,
            "kept": urlencode(kept),
            "texts": {name: kind.meaning for name, kind in CATALOGUE.items()},
            "facets": [(name, count, urlencode({**kept, "event": name})) for name, count in facets],
            "ways": await self.context.store.read(glance.methods_of, refused),
            "narrowed": len(kept) - ("q" in kept),
        }
        return Shown("admin_audit.html", values)

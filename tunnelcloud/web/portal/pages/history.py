"""The audit: searched, unfolded, exported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from attrs import frozen

from tunnelcloud.domain.actors import ActorKind, actor_text
from tunnelcloud.domain.event_sentences import event_sentence, groups_in
from tunnelcloud.domain.events import CATALOGUE
from tunnelcloud.store import read_models
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.page_requests import Download, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.audit_csv import as_csv
from tunnelcloud.web.portal.sentences import kept_event
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import LINES_TYPE, READERS

FILTERS = {
    "q": "Search",
    "event": "Event",
    "actor": "Done by",
    "user_name": "User",
    "tunnel_name": "Tunnel",
    "source_ip": "Address",
    "since": "From",
    "until": "Until",
}
"""What the audit is narrowed down by, and how that is called on the page."""
_MOMENTS = ("since", "until")
_REFUSED = frozenset({"channel.refused"})


def history_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for the audit."""
    handlers = _History(context, operations)
    return [
        PageRoute("GET", "/admin/audit", READERS, handlers.audit),
        PageRoute("GET", "/admin/audit/export", READERS, handlers.export),
    ]


def _asked(visit: Visit) -> dict[str, str]:
    """Give the filters as the API has them."""
    given = {name: visit.query.get(name, "").strip() for name in FILTERS}
    return {
        name: f"{value}Z" if name in _MOMENTS else value for name, value in given.items() if value
    }


@frozen
class _History:
    context: ApiContext
    operations: Operations

    async def audit(self, visit: Visit) -> Reply:
        given = {name: visit.query.get(name, "").strip() for name in FILTERS}
        store = self.context.store
        (page, methods, groups, errors), facets = await store.together(
            self._searched(visit), store.reading(read_models.latest_events)
        )
        kept = {name: value for name, value in given.items() if value}
        values = {
            "events": [
                {
                    **one,
                    "done_by": actor_text(ActorKind(one["actor_kind"]), one["actor"]),
                    "sentence": event_sentence(kept_event(one), groups),
                }
                for one in page["items"]
            ],
            "next_cursor": page["next_cursor"],
            "given": given,
            "errors": errors,
            "kept": urlencode(kept),
            "chips": [
                (FILTERS[name], value, urlencode({**kept, name: ""}))
                for name, value in kept.items()
            ],
            "texts": {name: kind.meaning for name, kind in CATALOGUE.items()},
            "facets": [
                # What another version wrote is no event to ask for here, but a word to look for.
                (name, count, urlencode({**kept, "event" if name in CATALOGUE else "q": name}))
                for name, count in facets
            ],
            "ways": methods,
        }
        return Shown("admin_audit.html", values)

    async def _searched(
        self, visit: Visit
    ) -> tuple[dict[str, Any], Mapping[str, str], Mapping[str, str], dict[str, str]]:
        """Search: a page of events, how refused sessions had signed in, groups' names, faults."""
        cursor = visit.query.get("cursor")
        query = {**_asked(visit), **({"cursor": cursor} if cursor else {})}
        try:
            page = await self.operations(visit, "GET", "/audit", query=query)
        except Problem as problem:
            return {"items": [], "next_cursor": None}, {}, {}, faults(problem)
        refused = [one["session_id"] for one in page["items"] if one["event"] in _REFUSED]
        named = groups_in(map(kept_event, page["items"]))
        beside = await self.context.store.read(read_models.beside_events, refused, named)
        return page, *beside, {}

    async def export(self, visit: Visit) -> Reply:
        lines = await self.operations.lines(visit, "/audit/export", _asked(visit))
        if visit.query.get("format") == "csv":
            return Download("audit.csv", "text/csv; charset=utf-8", as_csv(lines.chunks))
        return Download("audit.ndjson", LINES_TYPE, lines.chunks)

"""The audit: searched, unfolded, exported."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from attrs import evolve, frozen

from tunnelcloud.domain.actors import ActorKind, actor_text
from tunnelcloud.domain.event_sentences import event_sentence, groups_in
from tunnelcloud.domain.events import CATALOGUE
from tunnelcloud.store import list_counts, saved_searches
from tunnelcloud.store.errors import Conflict
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.consequences import kept_event
from tunnelcloud.web.portal.forms import Field, FieldKind, faults_of
from tunnelcloud.web.portal.page_requests import Download, Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.audit_csv import as_csv
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, LINES_TYPE, READERS

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
_MOMENT_FIELDS = [Field(name, FILTERS[name], FieldKind.MOMENT) for name in _MOMENTS]
_REFUSED = frozenset({"channel.refused"})


def history_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for the audit."""
    handlers = _History(context, operations)
    return [
        PageRoute("GET", "/admin/audit", READERS, handlers.audit),
        PageRoute("GET", "/admin/audit/export", READERS, handlers.export),
        PageRoute("POST", "/admin/audit/searches", ADMINS, handlers.save),
        PageRoute("POST", "/admin/audit/searches/remove", ADMINS, handlers.remove),
    ]


def _asked(visit: Visit) -> dict[str, str]:
    """Give the filters as the API has them."""
    given = {name: visit.query.get(name, "").strip() for name in FILTERS}
    return {
        name: f"{value}Z" if name in _MOMENTS else value for name, value in given.items() if value
    }


def _too_long(filters: Mapping[str, str]) -> dict[str, str]:
    """Say which filters are too long to be kept."""
    most = saved_searches.MAX_VALUE
    fault = f"type {most} characters at most"
    return {name: fault for name, value in filters.items() if len(value) > most}


@frozen
class _History:
    context: ApiContext
    operations: Operations

    async def audit(self, visit: Visit) -> Reply:
        return await self._shown(visit)

    async def _shown(self, visit: Visit) -> Shown:
        given = {name: visit.query.get(name, "").strip() for name in FILTERS}
        store = self.context.store
        (page, methods, groups, errors), facets, searches = await store.together(
            self._searched(visit),
            store.reading(list_counts.latest_events),
            store.reading(saved_searches.of_user, visit.who().user.id),
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
            "typed_name": visit.typed("name"),
            "searches": [(one.name, urlencode(one.filters)) for one in searches],
        }
        return Shown("admin_audit.html", values)

    async def _searched(
        self, visit: Visit
    ) -> tuple[dict[str, Any], Mapping[str, str], Mapping[str, str], dict[str, str]]:
        """Search: a page of events, how refused sessions had signed in, groups' names, faults."""
        cursor = visit.query.get("cursor")
        query = {"limit": "30", **_asked(visit), **({"cursor": cursor} if cursor else {})}
        try:
            page = await self.operations(visit, "GET", "/audit", query=query)
        except Problem as problem:
            typed = {name: visit.query.get(name, "") for name in _MOMENTS}
            errors = faults_of(_MOMENT_FIELDS, typed, faults(problem))
            return {"items": [], "next_cursor": None}, {}, {}, errors
        refused = [one["session_id"] for one in page["items"] if one["event"] in _REFUSED]
        named = groups_in(map(kept_event, page["items"]))
        beside = await self.context.store.read(list_counts.beside_events, refused, named)
        return page, *beside, {}

    async def save(self, visit: Visit) -> Reply:
        """Keep a search under the name that was typed, once it is one that finds something."""
        filters = {name: visit.typed(name).strip() for name in FILTERS}
        filters = {name: value for name, value in filters.items() if value}
        shown = await self._shown(evolve(visit, query=filters))
        name = " ".join(visit.typed("name").split())
        errors = {**shown.values["errors"], **_too_long(filters)}
        if not filters:
            errors["name"] = "set a filter first"
        elif not name.isprintable() or not 1 <= len(name) <= saved_searches.MAX_NAME:
            errors["name"] = f"type 1 to {saved_searches.MAX_NAME} characters that can be seen"
        if not errors:
            writer = self.context.acting_as(visit.who().caller)
            try:
                user_id = visit.who().user.id
                await writer.write(saved_searches.keep, user_id, name, filters)
                return Moved(f"/admin/audit?{urlencode(filters)}", note=f"Saved as {name}.")
            except Conflict as conflict:
                errors["name"] = str(conflict)
        values = {**shown.values, "errors": errors}
        return evolve(shown, values=values, status=HTTPStatus.UNPROCESSABLE_ENTITY)

    async def remove(self, visit: Visit) -> Reply:
        """Forget a search."""
        writer, name = self.context.acting_as(visit.who().caller), visit.typed("name")
        await writer.write(saved_searches.forget, visit.who().user.id, name)
        return Moved("/admin/audit", note=f"Removed the saved search {name}.")

    async def export(self, visit: Visit) -> Reply:
        lines = await self.operations.lines(visit, "/audit/export", _asked(visit))
        if visit.query.get("format") == "csv":
            showing = partial(self.context.showing.run, source=visit.who().caller.id)
            rows = as_csv(lines.chunks, showing)
            return Download("audit.csv", "text/csv; charset=utf-8", rows)
        return Download("audit.ndjson", LINES_TYPE, lines.chunks)

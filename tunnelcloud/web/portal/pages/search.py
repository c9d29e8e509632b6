"""One search for everything that the administration has: objects, sessions' addresses, actions."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.web.portal.admin_kinds import SECTIONS
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.page_requests import PageRoute, Reply, Shown, Visit
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import READERS

_EACH = "8"
_LONGEST = 200


def search_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the row of the page table for the search."""
    return [PageRoute("GET", "/admin/search", READERS, _Search(context, operations).search)]


@frozen
class Found:
    """One thing that was found.

    :ivar text: what is shown beside its name.
    """

    address: str
    name: str
    text: str = ""


@frozen
class _Search:
    context: ApiContext
    operations: Operations

    async def search(self, visit: Visit) -> Reply:
        wanted = visit.query.get("q", "").strip()[:_LONGEST]
        groups = await self._found(visit, wanted) if wanted else {}
        return Shown("admin_search.html", {"q": wanted, "groups": groups})

    async def _found(self, visit: Visit, wanted: str) -> dict[str, list[Found]]:
        query = {"q": wanted, "limit": _EACH}
        *objects, sessions = await self.context.store.together(
            *(
                self.operations(visit, "GET", f"/{one.plural}", query={**query, "sort": "name"})
                for one in SECTIONS
            ),
            self.operations(visit, "GET", "/sessions", query={**query, "live": "true"}),
        )
        groups = {
            section.title: [
                Found(f"/admin/{section.place}/{one['id']}", one["name"], one.get("title") or "")
                for one in page["items"]
            ]
            for section, page in zip(SECTIONS, objects, strict=True)
        }
        groups["Open sessions"] = _sessions(sessions["items"])
        groups["Actions"] = _actions(wanted, visit)
        return {title: found for title, found in groups.items() if found}


def _sessions(items: list[dict[str, Any]]) -> list[Found]:
    return [
        Found(f"/admin/users/{one['user_id']}", one["user_name"], f"from {one['source_ip']}")
        for one in items
    ]


def _actions(wanted: str, visit: Visit) -> list[Found]:
    """Find actions by the words of their buttons."""
    if visit.who().user.role != "admin":
        return []
    actions = [Found(f"/admin/{one.place}/new", one.adding) for one in SECTIONS]
    return [one for one in actions if folded(wanted) in folded(one.name)]

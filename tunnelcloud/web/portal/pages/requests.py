"""Requests for an approval: what waits for this visitor, one question, and what was allowed."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.policy_sentences import length_of_time
from tunnelcloud.store import approvals
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

_SHOWN = 50
_WAKES = frozenset({"request", "grant"})
_ONE = "/requests/{request_id}"


def request_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for requests and grants."""
    handlers = _Requests(context, operations)
    return [
        PageRoute("GET", "/requests", EVERYBODY, handlers.list_all, wakes=_WAKES),
        PageRoute("GET", _ONE, EVERYBODY, handlers.question),
        PageRoute("POST", _ONE, EVERYBODY, handlers.decide),
        PageRoute("POST", "/grants/{grant_id}/end", EVERYBODY, handlers.end_grant),
    ]


@frozen
class _Requests:
    context: ApiContext
    operations: Operations

    async def list_all(self, visit: Visit) -> Reply:
        """Show what waits for an answer, one's own requests, and the grants in force."""
        asked = {"status": "pending", "decidable": "true"}
        waiting, own, grants = await self.context.store.together(
            self.operations.every(visit, "/requests", asked, _SHOWN),
            self._list(visit, "/requests"),
            self._list(visit, "/grants", live="true"),
        )
        values = {
            "waiting": [one for one in waiting if one["status"] == "pending"],
            "own": own,
            "grants": grants,
        }
        return Shown("requests.html", values)

    async def question(self, visit: Visit) -> Reply:
        """Ask one question about one request."""
        request = await self.operations(visit, "GET", f"/requests/{visit.params['request_id']}")
        return await self._asked(visit, request)

    async def decide(self, visit: Visit) -> Reply:
        """Approve or refuse."""
        path = f"/requests/{visit.params['request_id']}"
        verb = "approve" if visit.typed("decision") == "approve" else "refuse"
        request = await self.operations(visit, "GET", path)
        try:
            body = {"answer": visit.typed("answer").strip()}
            await self.operations(visit, "POST", f"{path}/{verb}", body)
        except Problem as problem:
            request = await self.operations(visit, "GET", path)
            return await self._asked(visit, request, problem)
        done = "may open" if verb == "approve" else "was refused"
        return Moved("/requests", note=f"{request['user_name']} {done} {request['tunnel_name']}")

    async def end_grant(self, visit: Visit) -> Reply:
        """End one's own grant before its time."""
        await self.operations(visit, "DELETE", f"/grants/{visit.params['grant_id']}")
        return Moved("/requests", note="The grant has ended.")

    async def _asked(
        self, visit: Visit, request: dict[str, Any], problem: Problem | None = None
    ) -> Shown:
        user_id = visit.who().user.id
        decides = await self.context.store.read(approvals.may_decide, request["id"], user_id)
        values = {
            "request": request,
            "lasts": length_of_time(request["seconds"]),
            "own": request["user_id"] == user_id,
            "open": request["status"] == "pending" and decides,
            "elsewhere": source_group(request["source_ip"]) != source_group(visit.source_ip),
            "own_ip": visit.source_ip,
            "error": "" if problem is None else _words(problem),
        }
        return Shown("request.html", values, 200 if problem is None else problem.status)

    async def _list(self, visit: Visit, path: str, **more: str) -> list[dict[str, Any]]:
        query = {"limit": str(_SHOWN), "user_id": visit.who().user.id, **more}
        page = await self.operations(visit, "GET", path, query=query)
        found: list[dict[str, Any]] = page["items"]
        return found


def _words(problem: Problem) -> str:
    return problem.errors[0].message if problem.errors else problem.detail

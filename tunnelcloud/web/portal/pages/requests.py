"""Requests for an approval: what waits for this visitor, one question, and what was allowed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from math import ceil
from typing import Any

from attrs import frozen

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.policy_sentences import length_of_time
from tunnelcloud.store import approvals, identities, pending_counts, second_factors, user_views
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.second_factor import Judged, fault, judge
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.approvals import Askable, askable
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

_SHOWN = 50
_FRESH = 15
"""After how many seconds the page is looked at again, if nothing is heard and nothing ends."""

_WAKES = frozenset({"request", "grant"})
_ONE = "/requests/{request_id}"


def _fresh(endings: Iterable[str], now: datetime) -> int:
    """Give after how many seconds something that is shown ends, at most ``_FRESH``."""
    left = (ceil((datetime.fromisoformat(one) - now).total_seconds()) for one in endings)
    return min([_FRESH, *(one for one in left if one > 0)])


def request_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for requests and grants."""
    handlers = _Requests(context, operations)
    return [
        PageRoute("GET", "/requests", EVERYBODY, handlers.list_all, wakes=_WAKES),
        PageRoute("GET", "/requests/waiting", EVERYBODY, handlers.count, wakes=_WAKES),
        PageRoute("GET", _ONE, EVERYBODY, handlers.question),
        PageRoute("POST", _ONE, EVERYBODY, handlers.decide),
    ]


@frozen
class _Requests:
    context: ApiContext
    operations: Operations

    async def list_all(self, visit: Visit) -> Reply:
        """Show what waits for an answer, one's own requests, and the grants in force."""
        asked, user_id = {"status": "pending", "decidable": "true"}, visit.who().user.id
        waiting, unreviewed, own, grants, found, now = await self.context.store.together(
            self.operations.every(visit, "/requests", asked, _SHOWN),
            self.operations.every(visit, "/grants", {"unreviewed": "true"}, _SHOWN),
            self._list(visit, "/requests"),
            self._list(visit, "/grants", live="true"),
            self._askable(visit),
            self.context.store.reading(lambda transaction: transaction.now()),
        )
        endings = [one["expires_at"] for one in waiting + own] + [one["ends_at"] for one in grants]
        values = {
            "waiting": [one for one in waiting if one["status"] == "pending"],
            "unreviewed": [one for one in unreviewed if one["user_id"] != user_id],
            "own": own,
            "grants": grants,
            "asks": bool(found),
            "fresh": _fresh(endings, now),
        }
        return Shown("requests.html", values)

    async def count(self, visit: Visit) -> Reply:
        """Show how much waits for an answer, for the head of every page."""
        found = await self.context.store.read(pending_counts.waiting_for, visit.who().user)
        return Shown("requests_waiting.html", {"waiting": found})

    async def question(self, visit: Visit) -> Reply:
        """Ask one question about one request."""
        request = await self.operations(visit, "GET", f"/requests/{visit.params['request_id']}")
        return await self._asked(visit, request)

    async def decide(self, visit: Visit) -> Reply:
        """Approve or refuse."""
        path = f"/requests/{visit.params['request_id']}"
        verb = "approve" if visit.typed("decision") == "approve" else "refuse"
        request = await self.operations(visit, "GET", path)
        if verb == "approve" and await self._asks_code(visit, request):
            judged = await self._judged(visit)
            if not judged.good:
                return await self._asked(visit, request, code_fault=judged)
        try:
            body = {"answer": visit.typed("answer").strip()}
            await self.operations(visit, "POST", f"{path}/{verb}", body)
        except Problem as problem:
            request = await self.operations(visit, "GET", path)
            return await self._asked(visit, request, problem)
        who, what = request["user_name"], request["tunnel_name"]
        note = f"{who} was refused {what}."
        if verb == "approve":
            lasts = length_of_time(request["seconds"])
            note = f"{who} may open {what} for {lasts}; a client that gave up can try again."
        return Moved("/requests", note=note)

    async def _asks_code(self, visit: Visit, request: dict[str, Any]) -> bool:
        """Tell whether the visitor has to show their second factor.

        They confirm that a connection is theirs: whoever took over their browser must not be able
        to.  A request that has expired may wait again when the answer comes; a decided one never.
        """
        user_id = visit.who().user.id
        own = request["approval"] == Approval.SELF and request["user_id"] == user_id
        if not own or request["status"] in (RequestStatus.APPROVED, RequestStatus.REFUSED):
            return False
        return await self.context.store.read(second_factors.is_confirmed, user_id)

    async def _judged(self, visit: Visit) -> Judged:
        """Use up the code that was typed; wrong ones are counted as at the sign-in."""
        who = visit.who()
        return await self.context.acting_as(who.caller).write(
            judge, self.context.sealer, who.user.id, visit.typed("code")
        )

    async def _asked(
        self,
        visit: Visit,
        request: dict[str, Any],
        problem: Problem | None = None,
        code_fault: Judged | None = None,
    ) -> Shown:
        user_id = visit.who().user.id
        decides = await self.context.store.read(approvals.may_decide, request["id"], user_id)
        same = await self.context.store.read(
            identities.shared_provider, user_id, request["user_id"]
        )
        values = {
            "request": request,
            "lasts": length_of_time(request["seconds"]),
            "own": request["user_id"] == user_id,
            "open": request["status"] == "pending" and decides,
            "elsewhere": source_group(request["source_ip"]) != source_group(visit.source_ip),
            "same": same,
            "own_ip": visit.source_ip,
            "emergency": request["user_id"] == user_id and await self._opens_alone(visit, request),
            "asks_code": await self._asks_code(visit, request),
            "code_fault": "" if code_fault is None else fault(code_fault),
            "faults": {} if problem is None else faults(problem),
            "typed_answer": visit.typed("answer"),
        }
        status = HTTPStatus.OK if code_fault is None else HTTPStatus.UNPROCESSABLE_ENTITY
        return Shown("request.html", values, status if problem is None else problem.status)

    async def _opens_alone(self, visit: Visit, request: dict[str, Any]) -> bool:
        """Tell whether the visitor may open in an emergency what they wait for."""
        found = (await self._askable(visit)).get(request["tunnel_id"])
        return found is not None and found.emergency_seconds is not None

    async def _askable(self, visit: Visit) -> dict[str, Askable]:
        return askable(await self.context.store.read(user_views.load_view, visit.who().user.id))

    async def _list(self, visit: Visit, path: str, **more: str) -> list[dict[str, Any]]:
        query = {"limit": str(_SHOWN), "user_id": visit.who().user.id, **more}
        page = await self.operations(visit, "GET", path, query=query)
        found: list[dict[str, Any]] = page["items"]
        return found

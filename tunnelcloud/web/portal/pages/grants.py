"""Asking for a permission beforehand, opening a tunnel in an emergency, and the review of that."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from tunnelcloud.domain.durations import BadLength, read_length
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.policy_sentences import length_of_time
from tunnelcloud.store import identities, timed_grants, user_views
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.approvals import askable
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

_NEW = "/requests/new"
_ONE = "/grants/{grant_id}"


def grant_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for grants, and for asking for them."""
    handlers = _Grants(context, operations)
    return [
        PageRoute("GET", _NEW, EVERYBODY, handlers.blank),
        PageRoute("POST", _NEW, EVERYBODY, handlers.ask),
        PageRoute("GET", _ONE, EVERYBODY, handlers.show),
        PageRoute("POST", f"{_ONE}/review", EVERYBODY, handlers.review),
        PageRoute("POST", f"{_ONE}/end", EVERYBODY, handlers.end),
    ]


@frozen
class _Grants:
    context: ApiContext
    operations: Operations

    async def blank(self, visit: Visit) -> Reply:
        """Show the form to ask for a tunnel, or for more time with it."""
        return await self._form(visit, {"tunnel": visit.query.get("tunnel", "")}, {})

    async def ask(self, visit: Visit) -> Reply:
        """Ask, or open the tunnel at once."""
        typed = {name: visit.typed(name).strip() for name in ("tunnel", "reason", "lasts")}
        emergency = visit.typed("do") == "emergency"
        body: dict[str, Any] = {"tunnel_id": typed["tunnel"], "reason": typed["reason"]}
        wrong = dict[str, str]()
        if typed["lasts"]:
            try:
                body["seconds"] = read_length(typed["lasts"])
            except BadLength as error:
                # The operation refuses it, with what else is wrong.
                body["seconds"], wrong["lasts"] = typed["lasts"], str(error)
        try:
            path = "/grants" if emergency else "/requests"
            made = await self.operations(visit, "POST", path, body)
        except Problem as problem:
            wrong = {**_faults(problem), **wrong}
            return await self._form(visit, typed, wrong, problem.status, emergency)
        name = made["tunnel_name"]
        if emergency:
            note = f"You may open {name} now. Administrators and approvers are told."
        elif made["renews_id"]:
            note = f"You have asked for more time with {name}."
        else:
            note = f"You have asked to open {name}."
        return Moved("/requests", note=note)

    async def show(self, visit: Visit) -> Reply:
        """Show a grant; of an emergency that waits for it, ask for a review."""
        grant = await self.operations(visit, "GET", _ONE.format(**visit.params))
        return await self._shown(visit, grant)

    async def review(self, visit: Visit) -> Reply:
        """Write down that the visitor has reviewed an emergency."""
        path = _ONE.format(**visit.params)
        body = {"answer": visit.typed("answer").strip()}
        try:
            grant = await self.operations(visit, "POST", f"{path}/review", body)
        except Problem as problem:
            grant = await self.operations(visit, "GET", path)
            return await self._shown(visit, grant, problem)
        done = f"You have reviewed what {grant['user_name']} did with {grant['tunnel_name']}."
        return Moved("/requests", note=done)

    async def end(self, visit: Visit) -> Reply:
        """End a grant early."""
        await self.operations(visit, "DELETE", _ONE.format(**visit.params))
        return Moved("/requests", note="The grant has ended.")

    async def _shown(
        self, visit: Visit, grant: dict[str, Any], problem: Problem | None = None
    ) -> Shown:
        user, is_admin = visit.who().user, visit.who().user.role is Role.ADMIN
        approves = await self.context.store.read(timed_grants.may_review, grant["id"], user.id)
        query = {"live": "true", "user_id": grant["user_id"], "tunnel_id": grant["tunnel_id"]}
        in_force = await self.operations.every(visit, "/grants", query)
        live = any(one["id"] == grant["id"] for one in in_force)
        waits = grant["emergency"] and grant["reviewed_at"] is None
        concerned = user.id in (grant["user_id"], grant["allowed_by_id"])
        same = await self.context.store.read(identities.shared_provider, user.id, grant["user_id"])
        values = {
            "grant": grant,
            "same": same,
            "live": live,
            "ends": live and (is_admin or approves or concerned),
            "waits": waits and (is_admin or approves) and grant["user_id"] != user.id,
            "own": grant["user_id"] == user.id,
            "faults": {} if problem is None else faults(problem),
            "typed_answer": visit.typed("answer"),
        }
        return Shown("grant.html", values, 200 if problem is None else problem.status)

    async def _form(
        self,
        visit: Visit,
        typed: dict[str, str],
        wrong: dict[str, str],
        status: int = 422,
        emergency: bool = False,
    ) -> Shown:
        user_id = visit.who().user.id
        found = askable(await self.context.store.read(user_views.load_view, user_id))
        chosen = typed["tunnel"] if typed["tunnel"] in found else ""
        query = {"user_id": user_id, "live": "true", "tunnel_id": chosen}
        grants = await self.operations.every(visit, "/grants", query) if chosen else []
        values = {
            "tunnels": [
                (one, each.tunnel.title or each.tunnel.name) for one, each in found.items()
            ],
            "chosen": chosen,
            "most": length_of_time(found[chosen].policy.approval_seconds) if chosen else "",
            "until": max((one["ends_at"] for one in grants), default=None),
            "emergencies": [
                (each.tunnel.name, length_of_time(each.emergency_seconds))
                for one, each in found.items()
                if each.emergency_seconds is not None and chosen in ("", one)
            ],
            "typed": {"reason": "", "lasts": "", **typed},
            "faults": {"": "", "tunnel": "", "reason": "", "lasts": "", **wrong},
            "emergency": emergency,
        }
        return Shown("ask_for.html", values, status if wrong else 200)


def _faults(problem: Problem) -> dict[str, str]:
    fields = {"tunnel_id": "tunnel", "seconds": "lasts"}
    return {fields.get(name, name): text for name, text in faults(problem).items()}

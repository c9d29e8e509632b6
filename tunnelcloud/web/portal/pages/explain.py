"""Why somebody can, or can't, reach a tunnel: each rule, with a link to its object."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from attrs import frozen

from tunnelcloud.domain.durations import SECONDS
from tunnelcloud.store import tunnels, users
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.forms import Field, FieldKind, faults_of, in_units
from tunnelcloud.web.portal.page_requests import PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.rendering import shell
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import READERS

_QUESTION = ("user", "tunnel", "port", "method", "source_ip", "at", "session_seconds")
_OPTIONS = {
    "port": "--port",
    "method": "--method",
    "source_ip": "--source-ip",
    "at": "--at",
    "session_seconds": "--session-age",
}
_AGE = Field("session_seconds", "Session age", FieldKind.DURATION, maximum=366 * SECONDS["d"])
_AT = Field("at", "At", FieldKind.MOMENT)
_OF_THE_TUNNEL = frozenset({"destination", "port", "enabled", "method"})


def explain_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the row of the page table for the question."""
    return [PageRoute("GET", "/admin/explain", READERS, _Explain(context, operations).explain)]


def _command(given: Mapping[str, str]) -> str:
    """Return the command line that asks the same as the page."""
    words = ["tunnelcloud", "explain", given["user"] or "alice", given["tunnel"] or "db"]
    for name, option in _OPTIONS.items():
        if given[name]:
            words += [option, f"{given[name]}Z" if name == "at" else given[name]]
    return " ".join(map(shell, words))


@frozen
class _Explain:
    context: ApiContext
    operations: Operations

    async def explain(self, visit: Visit) -> Reply:
        given = {name: visit.query.get(name, "").strip() for name in _QUESTION}
        body: dict[str, Any] = {name: value for name, value in given.items() if value}
        answer, errors = None, {}
        links: dict[str, str] = {}
        if given["port"].isascii() and given["port"].isdecimal():
            body["port"] = int(given["port"][:9])
        if "session_seconds" in body:
            body["session_seconds"] = in_units(_AGE, given["session_seconds"])
        if "at" in body:
            body["at"] = f"{given['at']}Z"
        if given["user"] or given["tunnel"]:
            try:
                answer = await self.operations(visit, "POST", "/explain", body)
                user, tunnel = await self.context.store.together(
                    self.context.store.reading(users.find, given["user"]),
                    self.context.store.reading(tunnels.find, given["tunnel"]),
                )
                links = {
                    "user": f"/admin/users/{user.id}",
                    "tunnel": f"/admin/tunnels/{tunnel.id}",
                }
            except Problem as problem:
                errors = faults_of([_AGE, _AT], given, faults(problem))
        values = {
            "given": given,
            "answer": answer,
            "errors": errors,
            "links": links,
            "of_the_tunnel": _OF_THE_TUNNEL,
            "body": body,
            "command": _command(given),
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown("admin_explain.html", values, status)

"""What goes on, for administrators: overview, sessions, audit, and why somebody can or can't."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from attrs import frozen

from tunnelcloud.store import (
    access,
    assignments,
    audit,
    channels,
    connectors,
    sessions,
    sites,
    tunnels,
    users,
)
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal.operations import Operations, faults
from tunnelcloud.web.portal.visits import Moved, Page, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import ADMINS, READERS

_AUDIT_FILTERS = ("q", "event", "actor", "user_name", "tunnel_name", "source_ip", "cursor")
_QUESTION = ("user", "tunnel", "port", "method", "source_ip", "at")


def admin_pages(context: ApiContext, operations: Operations) -> list[Page]:
    """Make the rows of the page table for what goes on."""
    handlers = _Admin(context, operations)
    return [
        Page("GET", "/admin", READERS, handlers.overview),
        Page("GET", "/admin/sessions", READERS, handlers.sessions),
        Page("POST", "/admin/sessions/{session_id}/end", ADMINS, handlers.end_session),
        Page("GET", "/admin/audit", READERS, handlers.audit),
        Page("GET", "/admin/explain", READERS, handlers.explain),
    ]


def _counts(transaction: Transaction) -> dict[str, int]:
    yesterday = transaction.now() - timedelta(days=1)
    return {
        "sessions": sessions.count(transaction, live=True),
        "channels": channels.count(transaction, live=True),
        "refused": audit.count(transaction, event="login.refused", since=yesterday),
        "sites": sites.count(transaction),
        "connectors": connectors.count(transaction),
        "tunnels": tunnels.count(transaction),
        "users": users.count(transaction),
        "assignments": assignments.count(transaction),
    }


@frozen
class _Admin:
    context: ApiContext
    operations: Operations

    async def overview(self, visit: Visit) -> Reply:
        found = await self.operations.every(visit, "/connectors")
        attached = {one["site_id"] for one in found if one["status"] == "attached"}
        all_sites = await self.operations.every(visit, "/sites")
        values = {
            "counts": await self.context.store.read(_counts),
            "offline": [one for one in all_sites if one["id"] not in attached],
        }
        return Shown("admin_overview.html", values)

    async def sessions(self, visit: Visit) -> Reply:
        live = visit.query.get("live", "true") != "false"
        asked = {name: visit.query[name] for name in ("q", "cursor") if visit.query.get(name)}
        query = {"live": "true" if live else "false", **asked}
        page = await self.operations(visit, "GET", "/sessions", query=query)
        ids = {one["user_id"] for one in page["items"]}
        values = {
            "sessions": page["items"],
            "next_cursor": page["next_cursor"],
            "live": live,
            "q": asked.get("q", ""),
            "names": await self.context.store.read(access.names_of, "user", ids),
        }
        return Shown("admin_sessions.html", values)

    async def end_session(self, visit: Visit) -> Reply:
        await self.operations(visit, "DELETE", f"/sessions/{visit.params['session_id']}")
        return Moved("/admin/sessions")

    async def audit(self, visit: Visit) -> Reply:
        asked = {name: visit.query[name] for name in _AUDIT_FILTERS if visit.query.get(name)}
        page = await self.operations(visit, "GET", "/audit", query=asked)
        given = {name: asked.get(name, "") for name in _AUDIT_FILTERS if name != "cursor"}
        values = {"events": page["items"], "next_cursor": page["next_cursor"], "given": given}
        return Shown("admin_audit.html", values)

    async def explain(self, visit: Visit) -> Reply:
        given = {name: visit.query.get(name, "").strip() for name in _QUESTION}
        body: dict[str, Any] = {name: value for name, value in given.items() if value}
        answer, errors = None, {}
        if given["port"].isascii() and given["port"].isdecimal():
            body["port"] = int(given["port"][:9])
        if "at" in body:
            body["at"] = f"{given['at']}Z"
        if given["user"] or given["tunnel"]:
            try:
                answer = await self.operations(visit, "POST", "/explain", body)
            except Problem as problem:
                errors = faults(problem)
        values = {"given": given, "answer": answer, "errors": errors}
        return Shown("admin_explain.html", values, 422 if errors else 200)

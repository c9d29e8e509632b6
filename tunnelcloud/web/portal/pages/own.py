"""What is one's own: SSH keys, sessions, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from attrs import frozen

from tunnelcloud.domain.events import AuditRecord
from tunnelcloud.store import audit
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal.operations import Operations, faults
from tunnelcloud.web.portal.visits import Moved, Page, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

_REFUSALS = ("login.refused", "channel.refused")
_SHOWN_REFUSALS = 50


def own_pages(context: ApiContext, operations: Operations) -> list[Page]:
    """Make the rows of the page table for what is one's own."""
    handlers = _Own(context, operations)
    return [
        Page("GET", "/keys", EVERYBODY, handlers.keys),
        Page("POST", "/keys", EVERYBODY, handlers.add_key),
        Page("POST", "/keys/{key_id}/revoke", EVERYBODY, handlers.revoke_key),
        Page("GET", "/sessions", EVERYBODY, handlers.sessions),
        Page("POST", "/sessions/{session_id}/end", EVERYBODY, handlers.end_session),
    ]


def expiry(day: str) -> str | None:
    """Give the end of a day as the time at which something expires; None for no day."""
    return f"{day}T23:59:59Z" if day else None


def _refusals(transaction: Transaction, user_id: str) -> list[AuditRecord]:
    """List the latest refusals of one user."""
    found = [
        record
        for event in _REFUSALS
        for record in audit.list_page(
            transaction, event=event, user_id=user_id, limit=_SHOWN_REFUSALS
        ).items
    ]
    return sorted(found, key=lambda record: record.at, reverse=True)[:_SHOWN_REFUSALS]


@frozen
class _Own:
    context: ApiContext
    operations: Operations

    async def keys(self, visit: Visit) -> Reply:
        return await self._keys(visit, {})

    async def _keys(self, visit: Visit, errors: Mapping[str, str]) -> Shown:
        typed = {name: visit.typed(name) for name in ("public_key", "title", "expires_at")}
        values: dict[str, Any] = {
            "keys": await self.operations.every(visit, "/me/keys"),
            "errors": errors,
            "typed": typed,
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
        return Shown("keys.html", values, status)

    async def add_key(self, visit: Visit) -> Reply:
        body = {
            "public_key": visit.typed("public_key"),
            "title": visit.typed("title"),
            "expires_at": expiry(visit.typed("expires_at")),
        }
        if not visit.typed("public_key").strip():
            return await self._keys(visit, {"public_key": "paste a public key"})
        try:
            await self.operations(visit, "POST", "/me/keys", body)
        except Problem as problem:
            return await self._keys(visit, faults(problem))
        return Moved("/keys")

    async def revoke_key(self, visit: Visit) -> Reply:
        await self.operations(visit, "DELETE", f"/me/keys/{visit.params['key_id']}")
        return Moved("/keys")

    async def sessions(self, visit: Visit) -> Reply:
        cursor = visit.query.get("cursor")
        query = {"live": "false", "limit": "25", **({"cursor": cursor} if cursor else {})}
        past = await self.operations(visit, "GET", "/me/sessions", query=query)
        values = {
            "live": await self.operations.every(visit, "/me/sessions", {"live": "true"}),
            "past": past["items"],
            "next_cursor": past["next_cursor"],
            "refusals": [
                {"at": record.at.isoformat(), "event": record.event}
                for record in await self.context.store.read(_refusals, visit.who().user.id)
            ],
        }
        return Shown("sessions.html", values)

    async def end_session(self, visit: Visit) -> Reply:
        await self.operations(visit, "DELETE", f"/me/sessions/{visit.params['session_id']}")
        return Moved("/sessions")

"""One's own sessions: open now, past, and what was refused, with the reason and what would help.

Graphical tools never show a reason, so it has to be found here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen

from tunnelcloud.domain.advice import advice_for
from tunnelcloud.domain.events import AuditRecord
from tunnelcloud.store.own_pages import read_own_activity
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.page_requests import PageRoute, Reply, Shown, Visit
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

_METHODS = {"key": "with a key", "browser": "by a browser"}


def own_session_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for one's own sessions."""
    handlers = _Sessions(context, operations)
    query = frozenset({"cursor"})
    return [PageRoute("GET", "/sessions", EVERYBODY, handlers.show, query=query)]


@frozen
class _Refusal:
    """What was refused, as it is shown."""

    id: str
    at: str
    what: str
    source_ip: str
    client: str
    reason: str
    advice: str


def _refusal(record: AuditRecord, clients: Mapping[str, str]) -> _Refusal:
    event, data = record.event, record.event.data
    reason = str(data.get("reason", ""))
    if "count" in data:
        what = f"{data['count']} more"
    elif event.event == "login.refused":
        method = _METHODS.get(str(data.get("method")), "with a one-time token")
        what = f"Login as {data.get('login_name', '')} {method}"
    else:
        what = f"{data.get('destination', '')}:{data.get('port', '')}"
    return _Refusal(
        id=record.id,
        at=record.at.isoformat(),
        what=what,
        source_ip=event.source_ip or "",
        client=str(data.get("client_version") or clients.get(event.session_id or "", "")),
        reason=reason,
        advice=advice_for(reason),
    )


def duration(started_at: str, ended_at: str) -> str:
    """Write how long something lasted."""
    length = datetime.fromisoformat(ended_at) - datetime.fromisoformat(started_at)
    seconds = max(0, int(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours = seconds // 60 % 60, seconds // 3600
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


@frozen
class _Sessions:
    context: ApiContext
    operations: Operations

    async def show(self, visit: Visit) -> Reply:
        cursor = visit.query.get("cursor")
        query = {"live": "false", "limit": "25", **({"cursor": cursor} if cursor else {})}
        store = self.context.store
        past, live, own = await store.together(
            self.operations(visit, "GET", "/me/sessions", query=query),
            self.operations.every(visit, "/me/sessions", {"live": "true"}),
            store.reading(read_own_activity, visit.who().user.id),
        )
        now = self.context.now().isoformat()
        values = {
            "live": live,
            "open_in": own.open_in,
            "past": past["items"],
            "next_cursor": past["next_cursor"],
            "refusals": [_refusal(record, own.clients) for record in own.refusals],
            "duration": duration,
            "now": now,
        }
        return Shown("sessions.html", values)

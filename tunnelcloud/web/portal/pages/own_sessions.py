"""One's own sessions: open now, past, and what was refused, with the reason and what would help.

Graphical tools never show a reason, so it has to be found here.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from attrs import frozen

from tunnelcloud.domain.advice import advice_for
from tunnelcloud.domain.entities import Channel
from tunnelcloud.domain.events import AuditRecord
from tunnelcloud.store import access, audit, channels, sessions
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.page_requests import PageRoute, Reply, Shown, Visit
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

_REFUSALS = ("login.refused", "channel.refused")
_SHOWN_REFUSALS = 25
_SHOWN_CHANNELS = 500


def own_session_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for one's own sessions."""
    handlers = _Sessions(context, operations)
    return [PageRoute("GET", "/sessions", EVERYBODY, handlers.show)]


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


@frozen
class _Own:
    """What the store has of a user beside their sessions.

    :ivar open_in: the names of the tunnels that a session has channels to, by its id.
    """

    refusals: list[_Refusal]
    open_in: dict[str, list[str]]


def _read_own(transaction: Transaction, user_id: str) -> _Own:
    found = [
        record
        for event in _REFUSALS
        for record in audit.list_page(
            transaction, event=event, user_id=user_id, limit=_SHOWN_REFUSALS
        ).items
    ]
    found = sorted(found, key=lambda record: record.id, reverse=True)[:_SHOWN_REFUSALS]
    ids = {record.event.session_id for record in found if record.event.session_id}
    clients = sessions.client_versions(transaction, ids)
    live = channels.list_page(transaction, user_id=user_id, live=True, limit=_SHOWN_CHANNELS).items
    return _Own([_refusal(record, clients) for record in found], _open_in(transaction, live))


def _refusal(record: AuditRecord, clients: dict[str, str]) -> _Refusal:
    event, data = record.event, record.event.data
    reason = str(data.get("reason", ""))
    if "count" in data:
        what = f"{data['count']} more"
    elif event.event == "login.refused":
        method = "with a key" if data.get("method") == "key" else "with a one-time token"
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


def _open_in(transaction: Transaction, live: tuple[Channel, ...]) -> dict[str, list[str]]:
    names = access.names_of(transaction, "tunnel", {one.tunnel_id for one in live})
    found: dict[str, set[str]] = defaultdict(set)
    for channel in live:
        found[channel.session_id].add(names.get(channel.tunnel_id, channel.destination))
    return {session_id: sorted(tunnels) for session_id, tunnels in found.items()}


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
            store.reading(_read_own, visit.who().user.id),
        )
        now = self.context.now().isoformat()
        values = {
            "live": live,
            "open_in": own.open_in,
            "past": past["items"],
            "next_cursor": past["next_cursor"],
            "refusals": own.refusals,
            "duration": duration,
            "now": now,
        }
        return Shown("sessions.html", values)

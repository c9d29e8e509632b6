"""Sessions, as administrators see them: live, with what runs in each, and past."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from attrs import frozen

from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.store import list_counts, tunnels
from tunnelcloud.store.errors import NotFound
from tunnelcloud.web.portal.api_calls import Operations, faults
from tunnelcloud.web.portal.page_requests import PageRoute, Reply, Shown, Visit
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import READERS

_FILTERS = ("q", "tunnel", "method", "source_ip")


def session_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the row of the page table for sessions."""
    handlers = _Sessions(context, operations)
    query = frozenset({*_FILTERS, "live", "cursor"})
    return [
        PageRoute("GET", "/admin/sessions", READERS, handlers.sessions, shared=True, query=query)
    ]


@frozen
class _Sessions:
    context: ApiContext
    operations: Operations

    async def sessions(self, visit: Visit) -> Reply:
        live = visit.query.get("live", "true") != "false"
        given = {name: visit.query.get(name, "").strip() for name in _FILTERS}
        query = {name: value for name, value in given.items() if value and name != "tunnel"}
        errors: dict[str, str] = {}
        page: dict[str, Any] = {"items": [], "next_cursor": None}
        try:
            if given["tunnel"]:
                tunnel = await self.context.store.read(tunnels.find, folded(given["tunnel"]))
                query["tunnel_id"] = tunnel.id
            if cursor := visit.query.get("cursor"):
                query["cursor"] = cursor
            query["live"] = "true" if live else "false"
            page = await self.operations(visit, "GET", "/sessions", query=query)
        except NotFound:
            errors = {"tunnel": f"there is no tunnel {given['tunnel']}"}
        except Problem as problem:
            errors = faults(problem)
        kept = {"live": "true" if live else "false"}
        kept |= {name: value for name, value in given.items() if value}
        values = {
            "sessions": page["items"],
            "next_cursor": page["next_cursor"],
            "live": live,
            "given": given,
            "errors": errors,
            "kept": urlencode(kept),
            "filtered": any(given.values()),
            **await self._beside(page["items"]),
        }
        return Shown("admin_sessions.html", values)

    async def _beside(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """Gather the open channels of sessions, and the names of their tunnels and connectors."""
        live = {
            channel.id: channel
            for one in items
            for channel in self.context.live.live_channels(one["id"])
        }
        opened, names = await self.context.store.read(
            list_counts.open_channels_with_names,
            [one["id"] for one in items],
            {one.connector_id for one in live.values() if one.connector_id},
        )
        running: dict[str, list[dict[str, Any]]] = {}
        for one in opened:
            open_here = live.get(one.id)
            now = one if open_here is None else open_here
            running.setdefault(one.session_id, []).append(
                {
                    "id": one.id,
                    "tunnel_id": one.tunnel_id,
                    "tunnel": names.get(one.tunnel_id, one.destination),
                    "port": one.port,
                    "connector_id": now.connector_id,
                    "connector": names.get(now.connector_id or "", ""),
                    "opened_at": one.opened_at.isoformat(),
                    "bytes_to_target": now.bytes_to_target,
                    "bytes_from_target": now.bytes_from_target,
                    "rate_to_target": open_here and open_here.rate_to_target,
                    "rate_from_target": open_here and open_here.rate_from_target,
                }
            )
        return {"running": running}

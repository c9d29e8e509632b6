"""The applications portal: what one may open, and how."""

from __future__ import annotations

import ipaddress
from collections.abc import Set
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from attrs import evolve, frozen

from tunnelcloud.domain.commands import (
    LOCAL_ADDRESS,
    PublicAddress,
    forwarded_ports,
    local_port,
    ssh_command,
)
from tunnelcloud.domain.entities import Grant, Method, Tunnel, UserView
from tunnelcloud.domain.policy import Ask, decide
from tunnelcloud.store import access, connectors
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal.operations import Operations
from tunnelcloud.web.portal.visits import Page, Reply, Shown, Visit
from tunnelcloud.web.problems import not_found
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.tokens import tunnels_of
from tunnelcloud.web.routes import EVERYBODY

_PRIVILEGED = 1024
_ATTACHED_ELSEWHERE = timedelta(seconds=60)
_OFFLINE = "no connector is attached in site "


def application_pages(context: ApiContext, operations: Operations) -> list[Page]:
    """Make the rows of the page table for applications."""
    handlers = _Applications(context, operations)
    panel = "/applications/{tunnel_id}"
    return [
        Page("GET", "/", EVERYBODY, handlers.cards),
        Page("GET", panel, EVERYBODY, handlers.panel),
        Page("POST", f"{panel}/token", EVERYBODY, handlers.token),
    ]


@frozen
class Forward:
    """A target port, the local port that was asked to stand for it, and what is wrong with it."""

    port: int
    typed: str
    local: int
    error: str = ""


def read_forwards(tunnel: Tunnel, visit: Visit) -> list[Forward]:
    """Read the local ports that were asked for; what wasn't takes its default."""
    forwards: list[Forward] = []
    for port in forwarded_ports(tunnel):
        default = local_port(tunnel, port)
        typed = visit.query.get(f"port_{port}", str(default)).strip()
        good = typed.isascii() and typed.isdecimal() and 1 <= int(typed[:6]) <= 65535
        forward = Forward(port, typed, int(typed) if good else default)
        if not good:
            forward = evolve(forward, error="use a port from 1 to 65535")
        elif any(other.local == forward.local for other in forwards):
            forward = evolve(forward, error=f"{typed} is taken above: use another one")
        forwards.append(forward)
    return forwards


def read_local_address(visit: Visit) -> tuple[str, str, str]:
    """Read the local address: as typed, as it is used, and what is wrong with it."""
    typed = visit.query.get("local", LOCAL_ADDRESS).strip()
    try:
        return typed, str(ipaddress.ip_address(typed)), ""
    except ValueError:
        return typed, LOCAL_ADDRESS, "use an address of your machine, such as 127.0.0.1 or ::1"


def _attached_sites(transaction: Transaction, site_ids: Set[str], here: Set[str]) -> frozenset[str]:
    """Tell which sites have a connector that is attached to this pod, or was seen by another."""
    seen_since = transaction.now() - _ATTACHED_ELSEWHERE
    return frozenset(
        site_id
        for site_id in site_ids
        for one in connectors.list_page(transaction, site_id=site_id, limit=200).items
        if one.id in here or (one.last_seen_at is not None and one.last_seen_at > seen_since)
    )


@frozen
class _Applications:
    context: ApiContext
    operations: Operations

    async def _view(self, visit: Visit) -> UserView:
        return await self.context.store.read(access.load_view, visit.who().user.id)

    async def cards(self, visit: Visit) -> Reply:
        wanted = visit.query.get("q", "")[:200]
        view = await self._view(visit)
        found = [
            tunnel
            for tunnel in tunnels_of(view.grants)
            if wanted.lower() in f"{tunnel.name} {tunnel.title} {tunnel.description}".lower()
        ]
        offline = await self._offline(found)
        cards = [
            {"tunnel": tunnel, "obstacle": self._obstacle(view, tunnel, visit, offline)}
            for tunnel in found
        ]
        return Shown("applications.html", {"cards": cards, "q": wanted})

    async def _offline(self, tunnels: list[Tunnel]) -> frozenset[str]:
        """Tell which of the tunnels' sites have no connector that is attached to a pod."""
        wanted = {tunnel.site_id for tunnel in tunnels}
        here = frozenset(self.context.live.connector_health())
        attached = await self.context.store.read(_attached_sites, wanted, here)
        return frozenset(wanted - attached)

    def _obstacle(
        self, view: UserView, tunnel: Tunnel, visit: Visit, offline: frozenset[str]
    ) -> str:
        """Say why a tunnel can't be opened now by any method; empty when it can."""
        reasons = []
        usage = self.context.live.usage(view.user.id)
        for method in _methods(view, tunnel):
            decision = decide(
                view,
                Ask(
                    host=tunnel.name,
                    port=tunnel.target_ports[0].first,
                    method=method,
                    source_ip=visit.source_ip,
                    at=self.context.now(),
                    open_sessions=usage.sessions,
                    open_channels=lambda tunnel_id: usage.channels.get(tunnel_id, 0),
                ),
            )
            if decision.allowed:
                return f"{_OFFLINE}{tunnel.site_name}" if tunnel.site_id in offline else ""
            reasons.append(decision.reason)
        return reasons[0].removeprefix(f"{tunnel.name}: ")

    async def panel(self, visit: Visit) -> Reply:
        return await self._panel(visit, {})

    async def token(self, visit: Visit) -> Reply:
        """Make a one-time token, and show it this once beside its command."""
        # What the form above the button held comes along with it.
        visit = evolve(visit, query={name: values[0] for name, values in visit.form.items()})
        body = {"tunnel_id": visit.params["tunnel_id"]}
        made = await self.operations(visit, "POST", "/me/tokens", body)
        return await self._panel(
            visit, {"token": made["token"], "seconds": self.context.token_lifetime}
        )

    async def _panel(self, visit: Visit, made: dict[str, Any]) -> Shown:
        view = await self._view(visit)
        tunnels = tunnels_of(view.grants)
        found = [tunnel for tunnel in tunnels if tunnel.id == visit.params["tunnel_id"]]
        if not found:
            raise not_found("there is no such application, or it isn't yours")
        tunnel = found[0]
        methods = _methods(view, tunnel)
        asked = visit.query.get("method", "")
        method = next((one for one in methods if one == asked), methods[0])
        typed, local, local_error = read_local_address(visit)
        forwards = read_forwards(tunnel, visit)
        address: PublicAddress = self.context.live.ssh_public_address
        command = ssh_command(
            tunnel,
            view.user.name,
            method,
            address,
            others=tunnels,
            local_address=local,
            local_ports={forward.port: forward.local for forward in forwards},
        )
        values = {
            "tunnel": tunnel,
            "methods": methods,
            "method": method,
            "local": typed,
            "local_error": local_error,
            "forwards": forwards,
            "privileged": any(forward.local < _PRIVILEGED for forward in forwards),
            "command": command,
            "fingerprints": self.context.live.host_key_fingerprints(),
            "obstacle": self._obstacle(view, tunnel, visit, await self._offline([tunnel])),
            "made": made,
        }
        faulty = bool(local_error) or any(forward.error for forward in forwards)
        status = HTTPStatus.UNPROCESSABLE_ENTITY if faulty else HTTPStatus.OK
        return Shown("application.html", values, status)


def _methods(view: UserView, tunnel: Tunnel) -> list[Method]:
    """List the methods that open a tunnel, the token first."""

    def theirs(grant: Grant) -> bool:
        return grant.tunnel.id == tunnel.id

    given = {method for grant in filter(theirs, view.grants) for method in grant.methods}
    return [method for method in (Method.TOKEN, Method.KEY) if method in given]

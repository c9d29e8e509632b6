"""A tunnel's page, in three steps: a one-time token, the command, and the tool to connect with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from attrs import evolve, frozen

from tunnelcloud.domain.connecting.quoting import QUOTING, Shell
from tunnelcloud.domain.connecting.tools import CLIENT_NAMES, CONNECTING_NAMES, tool_settings
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import UserView
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import allowed_token_sessions
from tunnelcloud.domain.quantities import counted
from tunnelcloud.domain.ssh_command import own_host
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store import pinned_tunnels, user_views
from tunnelcloud.store.own_pages import Connected, read_connected
from tunnelcloud.web.portal.api_calls import Operations
from tunnelcloud.web.portal.last_tools import read_last_tools, write_last_tools
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.pages.icons import icon_of
from tunnelcloud.web.portal.pages.tunnel_choices import Choices, read_choices
from tunnelcloud.web.problems import not_found
from tunnelcloud.web.resources.approvals import askable
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.resources.tokens import tunnels_of
from tunnelcloud.web.resources.tunnel_standing import (
    decision_of,
    methods_of,
    own_standing,
    reader_of_connection,
)
from tunnelcloud.web.routes import EVERYBODY


def panel_pages(context: ApiContext, operations: Operations) -> list[PageRoute]:
    """Make the rows of the page table for one tunnel's page."""
    handlers = _Panel(context, operations)
    panel = "/applications/{tunnel_id}"
    return [
        PageRoute("GET", panel, EVERYBODY, handlers.show),
        PageRoute("GET", f"{panel}/connection", EVERYBODY, handlers.connection),
        PageRoute("POST", f"{panel}/token", EVERYBODY, handlers.token),
        PageRoute("POST", f"{panel}/check", EVERYBODY, handlers.check),
    ]


@frozen
class _Opened:
    """The tunnel and the choices that a visitor sees."""

    view: UserView
    tunnel: Tunnel
    choices: Choices
    pinned: bool


@frozen
class _Panel:
    context: ApiContext
    operations: Operations

    async def show(self, visit: Visit) -> Reply:
        opened = await self._open(visit)
        steps = await self._steps(visit, opened) if visit.once.get("check") else ()
        return await self._shown(visit, opened, visit.once.get("made"), steps)

    async def connection(self, visit: Visit) -> Reply:
        """Show the line that says whether the visitor is connected, which keeps itself fresh."""
        user_id, tunnel_id = visit.who().user.id, visit.params["tunnel_id"]

        view = await self.context.store.read(user_views.load_view, user_id)
        _find(tunnels_of(view.grants), tunnel_id)
        connected = await self.context.store.read(read_connected, user_id, tunnel_id)
        return Shown("connection.html", _connection(tunnel_id, connected))

    async def token(self, visit: Visit) -> Reply:
        """Make a one-time token, which the page shows one time beside its command."""
        visit = _with_form(visit)
        opened = await self._open(visit)
        sessions = visit.typed("sessions")
        body = {
            "tunnel_id": opened.tunnel.id,
            "sessions": int(sessions) if sessions.isdecimal() and len(sessions) < 3 else 1,
        }
        made = await self.operations(visit, "POST", "/me/tokens", body)
        shown = {
            "token": made["token"],
            "warnings": made["warnings"],
            "seconds": self.context.token_lifetime,
            "sessions": body["sessions"],
        }
        return Moved(_address(opened), once={"made": shown})

    async def check(self, visit: Visit) -> Reply:
        """Let the page check the path when it is shown next."""
        opened = await self._open(_with_form(visit))
        return Moved(f"{_address(opened)}#path", once={"check": True})

    async def _steps(self, visit: Visit, opened: _Opened) -> Sequence[DoctorStep]:
        """Check every hop: what the policies say to this visitor, then the way to the target."""
        choices, tunnel = opened.choices, opened.tunnel
        port = choices.forwards[0].port
        decision = decision_of(
            self.context, opened.view, tunnel, choices.method, visit.source_ip, port
        )
        steps = [DoctorStep(rule.rule, rule.passed, 0.0, rule.text) for rule in decision.rules]
        if decision.allowed:
            whose = visit.who().user.id
            steps += await self.context.live.check_tunnel(tunnel, port, whose)
        return steps

    async def _open(self, visit: Visit) -> _Opened:
        user_id, tunnel_id = visit.who().user.id, visit.params["tunnel_id"]

        view, pinned = await self.context.store.read(pinned_tunnels.with_pinned, user_id)
        others = tunnels_of(view.grants)
        tunnel = _find(others, tunnel_id)
        methods = methods_of(view, tunnel)
        last = read_last_tools(visit.tools)
        # This takes a look at each port of all of their tunnels.
        choices = await self.context.showing.run(
            lambda: read_choices(view, tunnel, methods, others, visit.query, last), source=user_id
        )
        return _Opened(view, tunnel, choices, tunnel_id in pinned)

    async def _shown(
        self,
        visit: Visit,
        opened: _Opened,
        made: dict[str, Any] | None = None,
        steps: Sequence[DoctorStep] = (),
    ) -> Shown:
        tunnel, choices = opened.tunnel, opened.choices
        live = self.context.live
        way = Way(
            tunnel=tunnel,
            login=choices.login,
            method=choices.method,
            pod=live.ssh_public_address,
            target=own_host(opened.view, tunnel),
            local_address=choices.local.used,
            local_ports={forward.port: forward.local for forward in choices.forwards},
            key_file=choices.key_file.used,
            known_hosts=live.known_hosts_lines(),
            fingerprints=[key.fingerprint for key in live.host_keys()],
        )
        windows = "Windows" in visit.user_agent
        # A tunnel may have a thousand ports, and each stands in every text.
        texts = await self.context.showing.run(
            partial(_texts, way, choices, windows), source=opened.view.user.id
        )
        offline, connected = await self.context.store.read(
            reader_of_connection(self.context), opened.view.user.id, tunnel
        )
        values = {
            "tunnel": tunnel,
            "icon_name": icon_of(tunnel),
            "pinned": opened.pinned,
            "stands": own_standing(self.context, opened.view, tunnel, visit.source_ip, offline),
            "asks": tunnel.id in askable(opened.view),
            "is_open": bool(live.usage(opened.view.user.id).channels.get(tunnel.id)),
            "choices": choices,
            "way": way,
            "windows": windows,
            **texts,
            "client_names": CLIENT_NAMES,
            "tool_names": CONNECTING_NAMES,
            "token_sessions": allowed_token_sessions(opened.view, tunnel.id),
            "made": made,
            "steps": steps,
            **_connection(tunnel.id, connected),
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if choices.faulty else HTTPStatus.OK
        return Shown("application.html", values, status, tools=_remembered(visit, opened))


def _texts(way: Way, choices: Choices, windows: bool) -> dict[str, Any]:
    """Give the command, and the settings of the chosen client and tool."""
    shell = Shell.POWERSHELL if windows else Shell.POSIX
    return {
        "command": QUOTING[shell](way.arguments()),
        "client": choices.client and tool_settings(choices.client, way, choices.methods),
        "tool": tool_settings(choices.tool, way, choices.methods),
    }


def _connection(tunnel_id: str, connected: Sequence[Connected]) -> dict[str, Any]:
    return {
        "tunnel_id": tunnel_id,
        "connected": [(one.source_ip, counted(one.channels, "channel")) for one in connected],
    }


def _remembered(visit: Visit, opened: _Opened) -> str:
    """Return the cookie of the tools used last; empty unless one of them was chosen here."""
    last, choices = read_last_tools(visit.tools), opened.choices
    kept = last
    if "client" in visit.query or choices.client:
        kept = kept.with_client(choices.client)
    if visit.query.get("tool") == choices.tool:
        kept = kept.with_tool(opened.tunnel.target_ports[0].first, choices.tool)
    return "" if kept == last else write_last_tools(kept)


def _find(tunnels: Sequence[Tunnel], tunnel_id: str) -> Tunnel:
    found = next((one for one in tunnels if one.id == tunnel_id), None)
    if found is None:
        raise not_found("there is no such tunnel, or it isn't yours")
    return found


def _address(opened: _Opened) -> str:
    """Give the address of the page with the same choices."""
    return f"/applications/{opened.tunnel.id}?{opened.choices.query}"


def _with_form(visit: Visit) -> Visit:
    """Take the choices from a form: the buttons below the form carry what it held."""
    return evolve(visit, query={name: values[0] for name, values in visit.form.items()})

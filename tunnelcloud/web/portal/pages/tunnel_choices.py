"""A user's choices on a tunnel's page: how to sign in, and the local address and ports."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from attrs import evolve, frozen

from tunnelcloud.domain.connecting.tools import CLIENT_NAMES, CONNECTING_NAMES, suggested_tools
from tunnelcloud.domain.connecting.way import logins_of
from tunnelcloud.domain.entities import Method, UserView
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.ssh_command import (
    FIRST_UNPRIVILEGED_PORT,
    LOCAL_ADDRESS,
    MAX_PORT,
    forwarded_ports,
    suggested_ports,
)
from tunnelcloud.web.portal.last_tools import LastTools

_KEY_FILE = re.compile(r"(?!-)[^\"\x00-\x1f\x7f]{0,200}")
_INTERFACE = re.compile(r"[A-Za-z0-9._-]{0,15}")
_PORT = re.compile(r"[0-9]{1,5}")


@frozen
class Typed:
    """A text field: the typed text, the text in use, and what is wrong with the typed one."""

    typed: str
    used: str
    error: str = ""


@frozen
class ChosenForward:
    """A target port, the local port that was asked to stand for it, and what is wrong with it."""

    port: int
    typed: str
    local: int
    error: str = ""

    @property
    def privileged(self) -> bool:
        """Whether a port is only for administrators of the user's machine."""
        return self.local < FIRST_UNPRIVILEGED_PORT


@frozen
class Choices:
    """All choices of a tunnel's page; the others have their defaults.

    :ivar client: what opens the tunnel; empty for the command.
    :ivar tool: what connects through it.
    :ivar suggested: the tools that are shown first.
    """

    methods: Sequence[Method]
    method: Method
    logins: Sequence[str]
    login: str
    local: Typed
    key_file: Typed
    forwards: Sequence[ChosenForward]
    client: str
    tool: str
    suggested: Sequence[str]

    @property
    def faulty(self) -> bool:
        """Whether a typed value can't be used."""
        errors = (self.local.error, self.key_file.error, *(one.error for one in self.forwards))
        return any(errors)

    @property
    def fields(self) -> dict[str, str]:
        """Give the fields of the form that leads to these choices."""
        return {
            "method": self.method,
            "login": self.login,
            "local": self.local.typed,
            "key_file": self.key_file.typed,
            "client": self.client,
            "tool": self.tool,
            **{f"port_{forward.port}": forward.typed for forward in self.forwards},
        }

    @property
    def query(self) -> str:
        """Give the query of the page with these choices."""
        return urlencode(self.fields)

    def but(self, **others: str) -> str:
        """Return the query of these choices with some changed."""
        return urlencode({**self.fields, **others})


def _local(typed: str) -> Typed:
    try:
        address = ipaddress.ip_address(typed)
        # Python takes any text for the name of an interface; this goes into commands and files.
        if not _INTERFACE.fullmatch(getattr(address, "scope_id", None) or ""):
            raise ValueError
        return Typed(typed, str(address))
    except ValueError:
        error = "use an address of your machine, such as 127.0.0.1 or ::1"
        return Typed(typed, LOCAL_ADDRESS, error)


def _key_file(typed: str) -> Typed:
    if _KEY_FILE.fullmatch(typed):
        return Typed(typed, typed)
    return Typed(typed, "", "use a path of up to 200 characters, without quotes")


def _forwards(
    tunnel: Tunnel, others: Sequence[Tunnel], asked: Mapping[str, str]
) -> list[ChosenForward]:
    suggested = suggested_ports(tunnel, others)
    forwards: list[ChosenForward] = []
    for port in forwarded_ports(tunnel):
        typed = asked.get(f"port_{port}", str(suggested[port])).strip()
        good = bool(_PORT.fullmatch(typed)) and 1 <= int(typed) <= MAX_PORT
        forward = ChosenForward(port, typed, int(typed) if good else suggested[port])
        if not good:
            forward = evolve(forward, error=f"use a port from 1 to {MAX_PORT}")
        elif any(other.local == forward.local for other in forwards):
            forward = evolve(forward, error=f"{typed} is taken above: use another one")
        forwards.append(forward)
    return forwards


def read_choices(
    view: UserView,
    tunnel: Tunnel,
    methods: Sequence[Method],
    others: Sequence[Tunnel],
    asked: Mapping[str, str],
    last: LastTools,
) -> Choices:
    """Read what was chosen.

    :param methods: those that open the tunnel.
    :param others: the user's tunnels.
    :param asked: fields by their names; what isn't there takes its default.
    :param last: the tools that were used last.
    """
    logins = logins_of(view.user, tunnel)
    port = tunnel.target_ports[0].first
    suggested = suggested_tools(port, last.by_port.get(port, ""))
    tool, client = asked.get("tool", ""), asked.get("client", last.client)
    if tool in CLIENT_NAMES:
        client = tool
    return Choices(
        methods=methods,
        method=next((one for one in methods if one == asked.get("method")), methods[0]),
        logins=logins,
        login=next((one for one in logins if one == asked.get("login")), logins[0]),
        local=_local(asked.get("local", LOCAL_ADDRESS).strip()),
        key_file=_key_file(asked.get("key_file", "").strip()),
        forwards=_forwards(tunnel, others, asked),
        client=client if client in CLIENT_NAMES else "",
        tool=tool if tool in CONNECTING_NAMES else suggested[0],
        suggested=suggested,
    )

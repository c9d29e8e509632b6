"""Converts the API's list of one's own tunnels into the model that ssh commands are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from attrs import evolve

from tunnelcloud.cli.client import Api, Failed, Object
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import Method, hosts_of
from tunnelcloud.domain.names import (
    BadName,
    parse_ports,
    read_external_address,
    read_host,
    read_name,
    read_user_name,
)
from tunnelcloud.domain.objects.sites import PortRange, Tunnel
from tunnelcloud.domain.ssh_command import PublicAddress, forwarded_ports
from tunnelcloud.domain.tunnel_standing import Stand


def own_tunnel_id(api: Api, wanted: str) -> str:
    """Give the id of one of one's own tunnels by its name or its id.

    :raise Failed: there is no such tunnel.
    """
    for one in api.each("me/tunnels"):
        if wanted in (one["id"], one["name"]):
            return str(one["id"])
    raise _no_such(wanted)


def _no_such(wanted: str) -> Failed:
    return Failed(f"you have no tunnel {wanted!r}; `tunnelcloud ls` shows what you have")


class Tunnels:
    """The tunnels of the API token's user."""

    def __init__(self, api: Api) -> None:
        self._found = {item["name"]: item for item in api.each("me/tunnels")}
        self._by_host: dict[str, list[Tunnel]] = {}
        for item in self._found.values():
            tunnel = _tunnel(item)
            for host in hosts_of(tunnel):
                self._by_host.setdefault(host, []).append(tunnel)
        user = api.get("me").get("user") or {}
        self._user = str(user.get("name", ""))
        self._known_hosts = api.text("/known_hosts").splitlines()

    @property
    def names(self) -> list[str]:
        """List all of their names."""
        return list(self._found)

    @property
    def ids(self) -> dict[str, str]:
        """Give the id of each by its name."""
        return {name: str(item["id"]) for name, item in self._found.items()}

    def check_named(self, name: str) -> None:
        """Check that there is a tunnel of this name.

        :raise Failed: there is none.
        """
        if name not in self._found:
            raise _no_such(name)

    def standing(self, name: str) -> tuple[str, str]:
        """Return a tunnel's state: one word, and a text for people."""
        item = self._found[name]
        state = str(item.get("state"))
        return str(item.get("standing")), f"{state[:1].lower()}{state[1:]}"

    def check_open(self, name: str) -> str:
        """Look whether a tunnel opens now.

        :return: what may be in the way nevertheless; empty for nothing.
        :raise Failed: it is shut, with the reason.
        """
        self.check_named(name)
        standing, state = self.standing(name)
        reason = f"{name}: {state}"
        if standing in (Stand.SHUT, Stand.OFFLINE):
            raise Failed(reason)
        if standing == Stand.HELD:
            return f"{reason}: connections wait until then, see Requests in the portal"
        return reason if standing in (Stand.UNREACHABLE, Stand.PARTLY) else ""

    def way(
        self,
        name: str,
        *,
        method: str | None = None,
        key_file: str = "",
        local_address: str = "127.0.0.1",
        local_ports: Mapping[int, int] | None = None,
        port: int | None = None,
    ) -> Way:
        """Make the way to a tunnel.

        What the pod has answered becomes part of commands, ``~/.ssh/config`` and ``known_hosts``.
        So each name is checked to be a name there, and nothing else.

        :param method: None for a token where one opens it.
        :param port: a target port that is to be forwarded even where a range has too many for all.
        :raise Failed: there is no such tunnel or port, it doesn't open like that, or what should be
            a name is none.
        """
        self.check_named(name)
        item = self._found[name]
        methods = list(item["methods"])
        if method is not None and method not in methods:
            raise Failed(f"{name} opens with a {' or a '.join(methods)}, not with a {method}")
        host, _, ssh_port = str(item["ssh_address"]).rpartition(":")
        pod = PublicAddress(_checked(read_host, host.strip("[]")), int(ssh_port))
        _checked(read_name, name)
        _checked(read_host, item["target_address"])
        if item["external_address"] is not None:
            _checked(read_external_address, item["external_address"])
        tunnel = _forwarding(_tunnel(item), port)
        return Way(
            tunnel=tunnel,
            login=_checked(read_user_name, self._user),
            method=Method(method or ("token" if "token" in methods else methods[0])),
            pod=pod,
            others=[
                other
                for shared in (tunnel.target_address, tunnel.name)
                for other in self._by_host.get(shared, ())
            ],
            local_address=local_address,
            local_ports=dict(local_ports or {}),
            key_file=key_file,
            known_hosts=self._known_hosts,
        )


def _forwarding(tunnel: Tunnel, port: int | None) -> Tunnel:
    """Give the tunnel with a port among those that are forwarded.

    :raise Failed: it isn't published.
    """
    if port is None or port in forwarded_ports(tunnel):
        return tunnel
    if not any(port in ports for ports in tunnel.target_ports):
        published = ", ".join(map(str, tunnel.target_ports))
        raise Failed(f"{tunnel.name}: port {port} is not published ({published} is)")
    return evolve(tunnel, target_ports=(*tunnel.target_ports, PortRange(port, port)))


def _checked(read: Callable[[str], str], said: object) -> str:
    """Check a name by the pod's own rules for names.

    :raise Failed: it is none.
    """
    try:
        return read(str(said))
    except BadName as error:
        text = f"the pod names {str(said)[:60]!r}, which can't be: {error}; check its address"
        raise Failed(text) from None


def _tunnel(item: Object) -> Tunnel:
    made: Any = {
        name: item[name]
        for name in ("id", "name", "title", "site_id", "target_address", "local_port_offset",
                     "external_address", "enabled")
    }  # fmt: skip
    return Tunnel(
        created_at=datetime.fromisoformat(item["created_at"]),
        site_name="",
        target_ports=tuple(parse_ports(str(ports)) for ports in item["target_ports"]),
        **made,
    )

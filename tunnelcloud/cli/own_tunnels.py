"""One's own tunnels as the API lists them, made into the model that every command comes from."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tunnelcloud.cli.client import Api, Failed, Object
from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import Method, Tunnel
from tunnelcloud.domain.names import parse_ports

_TRIED_PORTS = 100


class Tunnels:
    """The tunnels of whoever the API token stands for."""

    def __init__(self, api: Api) -> None:
        self._found = {item["name"]: item for item in api.each("me/tunnels")}
        user = api.get("me").get("user") or {}
        self._user = str(user.get("name", ""))
        self._known_hosts = api.text("/known_hosts").splitlines()

    @property
    def names(self) -> list[str]:
        """Name them all."""
        return list(self._found)

    def way(
        self,
        name: str,
        *,
        method: str | None = None,
        key_file: str = "",
        local_address: str = "127.0.0.1",
        local_ports: Mapping[int, int] | None = None,
    ) -> Way:
        """Make the way to a tunnel.

        :param method: None for a token where one opens it.
        :raise Failed: there is no such tunnel, or it doesn't open like that.
        """
        item = self._found.get(name)
        if item is None:
            shows = "`tunnelcloud ls` shows what you have"
            raise Failed(f"you have no tunnel {name!r}; {shows}")
        methods = list(item["methods"])
        if method is not None and method not in methods:
            raise Failed(f"{name} opens with a {' or a '.join(methods)}, not with a {method}")
        host, _, port = str(item["ssh_address"]).rpartition(":")
        return Way(
            tunnel=_tunnel(item),
            login=self._user,
            method=Method(method or ("token" if "token" in methods else methods[0])),
            pod=PublicAddress(host.strip("[]"), int(port)),
            others=[_tunnel(other) for other in self._found.values()],
            local_address=local_address,
            local_ports=dict(local_ports or {}),
            key_file=key_file,
            known_hosts=self._known_hosts,
        )


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


def free_port(address: str, wanted: int, taken: set[int]) -> int:
    """Give the first local port from C{wanted} on that nobody listens on.

    :param taken: ports that are spoken for.
    :raise Failed: there is none near.
    """
    for port in range(wanted, min(wanted + _TRIED_PORTS, 65536)):
        if port not in taken and is_free(address, port):
            return port
    raise Failed(f"no port from {wanted} on is free at {address}: choose one with --local")


def is_free(address: str, port: int) -> bool:
    """Tell whether a port can be listened on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True

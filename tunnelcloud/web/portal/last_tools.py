"""The tools used last in this browser, which keeps them, since tools are on one machine."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import evolve, field, frozen

from tunnelcloud.domain.connecting.tools import CLIENT_NAMES, CONNECTING_NAMES

_MOST_PORTS = 12
_ITEM = re.compile(r"([0-9]{1,5})\.([a-z0-9-]{1,30})")


@frozen
class LastTools:
    """The tools that were used last.

    :ivar client: what opened the tunnel; empty for the command.
    :ivar by_port: what connected to a target port, the latest at the end.
    """

    client: str = ""
    by_port: Mapping[int, str] = field(factory=dict)

    def with_client(self, client: str) -> LastTools:
        """Note that a tunnel is opened so."""
        return evolve(self, client=client)

    def with_tool(self, port: int, tool: str) -> LastTools:
        """Note that a tool connects to a target port; of many ports the latest stay."""
        others = [(one, name) for one, name in self.by_port.items() if one != port]
        return evolve(self, by_port=dict([*others, (port, tool)][-_MOST_PORTS:]))


def read_last_tools(kept: str) -> LastTools:
    """Read what a browser keeps; what isn't a tool is left out."""
    client, _, rest = kept.partition("_")
    found = [match.groups() for match in map(_ITEM.fullmatch, rest.split("_")) if match]
    by_port = {int(port): tool for port, tool in found if tool in CONNECTING_NAMES}
    ports = list(by_port.items())[-_MOST_PORTS:]
    return LastTools(client if client in CLIENT_NAMES else "", dict(ports))


def write_last_tools(tools: LastTools) -> str:
    """Give what a browser is to keep."""
    return "_".join([tools.client, *(f"{port}.{tool}" for port, tool in tools.by_port.items())])

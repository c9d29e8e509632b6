"""All tools, in the order of their tabs: programs, database tools, and SSH clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import frozen

from tunnelcloud.domain.connecting import clients
from tunnelcloud.domain.connecting.databases import database_tool
from tunnelcloud.domain.connecting.dialogs import DIALOGS
from tunnelcloud.domain.connecting.programs import PROGRAMS, Program, program_tool
from tunnelcloud.domain.connecting.settings import Tool
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import Method

OTHER = "other"
"""The tool for which nothing is known of its dialog."""
_MOST_SUGGESTED = 4


@frozen
class _Entry:
    name: str
    make: Callable[[Way, Sequence[Method]], Tool]
    ports: Sequence[int] = ()


def _program(one: Program) -> _Entry:
    return _Entry(one.name, lambda way, _methods: program_tool(one, way), one.ports)


_CLIENTS = {
    "openssh": _Entry("OpenSSH", clients.openssh),
    "ssh-config": _Entry("~/.ssh/config", clients.openssh_config),
    "putty": _Entry("PuTTY", clients.putty),
    "securecrt": _Entry("SecureCRT", clients.securecrt),
    "mobaxterm": _Entry("MobaXterm", clients.mobaxterm),
    "unattended": _Entry("Unattended", clients.unattended),
}
_TOOLS = {
    **{one.slug: _program(one) for one in PROGRAMS},
    **{one.slug: _Entry(one.name, partial(database_tool, one), one.ports) for one in DIALOGS},
}
CLIENT_NAMES = {slug: entry.name for slug, entry in _CLIENTS.items()}
"""Names of the ways to open a tunnel other than the command, by their part of addresses."""
CONNECTING_NAMES = {slug: entry.name for slug, entry in _TOOLS.items()}
"""Names of what connects through a tunnel, likewise."""


def tool_settings(slug: str, way: Way, methods: Sequence[Method]) -> Tool:
    """Fill in what a tool's tab holds.

    :param slug: a key of ``CLIENT_NAMES`` or ``CONNECTING_NAMES``.
    :param methods: by which the tunnel opens for this user.
    """
    return {**_CLIENTS, **_TOOLS}[slug].make(way, methods)


def suggested_tools(port: int, last: str = "") -> list[str]:
    """List the tools that are usually used with a target port.

    :param last: the tool that was used last with it, which comes first.
    """
    usual = [slug for slug, entry in _TOOLS.items() if port in entry.ports]
    usual = [*usual[:_MOST_SUGGESTED], OTHER]
    if last not in CONNECTING_NAMES:
        return usual
    return [last, *(slug for slug in usual if slug != last)]

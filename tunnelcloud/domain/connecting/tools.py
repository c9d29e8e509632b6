"""All tools, in the order of their tabs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tunnelcloud.domain.connecting import clients
from tunnelcloud.domain.connecting.databases import DIALOGS, database_tool
from tunnelcloud.domain.connecting.settings import Tool
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import Method

_MAKERS: dict[str, tuple[str, Callable[[Way, Sequence[Method]], Tool]]] = {
    "openssh": ("OpenSSH", clients.openssh),
    "ssh-config": ("~/.ssh/config", clients.openssh_config),
    "putty": ("PuTTY", clients.putty),
    "securecrt": ("SecureCRT", clients.securecrt),
    "mobaxterm": ("MobaXterm", clients.mobaxterm),
    **{dialog.slug: (dialog.name, partial(database_tool, dialog)) for dialog in DIALOGS},
    "unattended": ("Unattended", clients.unattended),
}
TOOL_NAMES = {slug: name for slug, (name, _) in _MAKERS.items()}
"""The tools' names by what stands for them in addresses."""


def tool_settings(slug: str, way: Way, methods: Sequence[Method]) -> Tool:
    """Fill in what a tool's tab holds.

    :param slug: a key of ``TOOL_NAMES``.
    :param methods: by which the tunnel opens for this user.
    """
    _, make = _MAKERS[slug]
    return make(way, methods)

"""The SSH host keys, in the two forms in which people check them."""

from __future__ import annotations

import base64

from attrs import frozen

from tunnelcloud.store.keys import fingerprint_of
from tunnelcloud.web.models.credentials import HostKey
from tunnelcloud.web.models.fields import Page
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import READERS, Call, Route


def host_key_routes(context: ApiContext) -> list[Route]:
    """Make the row for host keys."""
    return [
        Route(
            "GET",
            "/host-keys",
            "list_host_keys",
            "List the SSH host keys, which all pods share, with lines for known_hosts.",
            READERS,
            _HostKeys(context).list_all,
            answer=Page[HostKey],
        )
    ]


@frozen
class _HostKeys:
    context: ApiContext

    async def list_all(self, call: Call) -> Page[HostKey]:
        lines: dict[tuple[str, str], list[str]] = {}
        for line in self.context.live.known_hosts_lines():
            _, algorithm, blob = line.split(" ")
            lines.setdefault((algorithm, blob), []).append(line)
        keys = [
            HostKey(
                algorithm=algorithm,
                fingerprint=fingerprint_of(base64.b64decode(blob)),
                known_hosts=known_hosts,
            )
            for (algorithm, blob), known_hosts in lines.items()
        ]
        return Page(items=keys, next_cursor=None)

"""``connect`` with several tunnels: what is shown where, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from attrs import evolve

from tunnelcloud.cli.client import Api, Failed
from tunnelcloud.cli.own_tunnels import Tunnels
from tunnelcloud.cli.rows import Lines, Table
from tunnelcloud.cli.together import Board, Places, Together, Wanted
from tunnelcloud.domain.connecting.own_addresses import own_addresses
from tunnelcloud.domain.connecting.way import Way


def own_token(api: Api, tunnel_id: str) -> str:
    """Make a one-time token for a tunnel of one's own.

    :raise Failed: it would open nothing now, with the reason.
    """
    made = api.send("POST", "me/tokens", {"tunnel_id": tunnel_id})
    if made.get("warnings"):
        api.send("DELETE", f"me/tokens/{made['id']}")
        raise Failed("; ".join(map(str, made["warnings"])))
    return str(made["token"])


def _token_for_any(api: Api) -> str:
    """Make a one-time token for all of one's tunnels.

    What opens nothing now may do so in a moment: after a pod's start, sites come back by and by.
    """
    return str(api.send("POST", "me/tokens", {})["token"])


def on_own_addresses(tunnels: Tunnels, ways: Sequence[Way]) -> list[Way]:
    """Give each way an address of its own and the target's ports, where this machine has enough."""
    if not Places.of_this_machine().own:
        return list(ways)
    addresses = own_addresses(tunnels.ids.values())
    return [
        evolve(
            way,
            local_address=addresses[way.tunnel.id],
            local_ports={forward.port: forward.port for forward in way.forwards},
        )
        for way in ways
    ]


def keep_open(api: Api, wanted: Wanted, as_json: bool) -> None:
    """Keep tunnels open until Ctrl-C.

    :raise Failed: nothing is tried any more, with the reason.
    """
    board: Board = Table() if sys.stdout.isatty() and not as_json else Lines(as_json)
    together = Together(wanted, lambda: Tunnels(api), lambda: _token_for_any(api), board)
    try:
        together.begin()
        together.run()
    except KeyboardInterrupt:
        return
    finally:
        together.end()

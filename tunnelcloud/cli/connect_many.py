"""``connect`` with several tunnels: its output, and its end."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve, frozen

from tunnelcloud.cli.background import go_on_in_background
from tunnelcloud.cli.client import Api, Failed
from tunnelcloud.cli.hosts_file import HostsFile
from tunnelcloud.cli.open_tunnels import Board, Places, Together, Wanted
from tunnelcloud.cli.output import say
from tunnelcloud.cli.own_directories import expanded
from tunnelcloud.cli.own_tunnels import Tunnels
from tunnelcloud.cli.parameters import Connection
from tunnelcloud.cli.run_files import OwnRun
from tunnelcloud.cli.tunnel_rows import Lines, Row, Table
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


@frozen
class Manner:
    """How tunnels are kept open.

    :ivar hosts: the hosts file that is to have their names; None for none.
    :ivar is_detached: whether it goes on without the terminal.
    """

    as_json: bool = False
    hosts: Path | None = None
    is_detached: bool = False


class _Everywhere:
    """Shows rows to the user, to ``status``, and to programs that look for names of hosts."""

    def __init__(self, board: Board, run: OwnRun, url: str, hosts: HostsFile | None) -> None:
        self._board, self._run, self._hosts = board, run, hosts
        self._fault: str | None = None
        self._told = {"url": url, "started_at": datetime.now(UTC).isoformat()}

    def show(self, rows: Sequence[Row]) -> None:
        """Show what is new in the rows.

        :raise Failed: the hosts file can't be changed from the start.
        """
        try:
            if self._hosts is not None:
                self._hosts.write({row.name: row.address for row in rows if row.address})
        except Failed as error:
            if self._fault is None:
                raise
            if str(error) != self._fault:
                self._fault = str(error)
                self._board.tell(self._fault)
        self._fault = self._fault or ""
        self._run.write({**self._told, "tunnels": [row.as_json() for row in rows]})
        self._board.show(rows)

    def tell(self, text: str) -> None:
        """Show a message that belongs to no row."""
        self._board.tell(text)


def keep_open(api: Api, url: str, wanted: Wanted, manner: Manner) -> None:
    """Keep tunnels open until Ctrl-C.

    :param url: where the portal is.
    :raise Failed: nothing is tried any more, with the reason.
    """
    leave = go_on_in_background() if manner.is_detached else None
    as_table = sys.stdout.isatty() and not manner.as_json and leave is None
    board: Board = Table() if as_table else Lines(manner.as_json)
    hosts = None if manner.hosts is None else HostsFile(manner.hosts)
    run = OwnRun()
    shown = _Everywhere(board, run, url, hosts)
    together = Together(wanted, lambda: Tunnels(api), lambda: _token_for_any(api), shown)
    try:
        together.begin()
        if leave is not None:
            together.run_until_settled()
            say(f"it goes on as process {os.getpid()}; `tunnelcloud stop` ends it")
            leave()
        together.run()
    except KeyboardInterrupt:
        return
    finally:
        together.end()
        try:
            if hosts is not None:
                hosts.clear()
        finally:
            run.clear()


def unit_words(connection: Connection, wanted: Wanted, manner: Manner) -> list[str]:
    """Give the words of the command that a unit is to run."""
    words = [shutil.which(sys.argv[0]) or str(Path(sys.argv[0]).resolve())]
    words += ["--url", connection.address]
    if connection.token_file is not None:
        words += ["--api-token-file", str(connection.token_file.resolve())]
    words += ["connect", *(wanted.names or ["--all"])]
    if wanted.method is not None:
        words += ["--method", wanted.method]
    if wanted.key_file:
        words += ["--key-file", str(expanded(wanted.key_file).resolve())]
    if manner.hosts is not None:
        words += ["--hosts-file", str(manner.hosts.resolve())]
    return words

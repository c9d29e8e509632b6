"""Keeps several tunnels open, by the API's list, with one connection for each login method."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from attrs import evolve, field, frozen

from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.local_ports import can_have, free_port
from tunnelcloud.cli.own_tunnels import Tunnels
from tunnelcloud.cli.retrying import Sleep, lasts
from tunnelcloud.cli.ssh_connection import Link
from tunnelcloud.cli.tunnel_rows import Row, State
from tunnelcloud.domain.addresses import leads_home
from tunnelcloud.domain.connecting.own_addresses import own_addresses
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.ssh_command import LOCAL_ADDRESS, MAX_FORWARDS_OF_A_RANGE

_REFRESH_SECONDS = 30
_SETTLED_SECONDS = 30
_BUSY_SECONDS = 0.05
_IDLE_SECONDS = 0.5
_SPARE_DESCRIPTORS = 64


class Board(Protocol):
    """Where rows are shown."""

    def show(self, rows: Sequence[Row]) -> None:
        """Show what is new in the rows."""

    def tell(self, text: str) -> None:
        """Show a message that belongs to no row."""


@frozen
class Wanted:
    """What is to be open.

    :ivar names: none for all tunnels, those included that are assigned later.
    :ivar method: None for a token where one opens a tunnel.
    """

    names: Sequence[str] = ()
    method: str | None = None
    key_file: str = ""


def targets_here(way: Way) -> set[int]:
    """Give the ports of targets on this very machine: a tunnel that listens there leads to itself.

    They are known to be here when both the pod and the target have an address of this machine.
    """
    if not (leads_home(way.pod.host) and leads_home(way.tunnel.target_address)):
        return set()
    return {forward.port for forward in way.forwards}


@frozen
class Places:
    """Which addresses and ports of this machine the tunnels have.

    :ivar own: whether each tunnel has an address of its own.
    """

    own: bool
    _taken: dict[str, set[int]] = field(factory=dict)

    @classmethod
    def of_this_machine(cls) -> Places:
        """Give each tunnel an address of its own where there are enough."""
        return cls(sys.platform == "linux" and can_have("127.64.0.1"))

    def put(self, row: Row, way: Way, address: str) -> None:
        """Find a local port for each of a tunnel's ports, and note the differences."""
        address = address if self.own else LOCAL_ADDRESS
        taken = self._taken.setdefault(address, set())
        kept = {} if row.way is None else {one.port: one.local for one in row.way.forwards}
        avoided = set() if self.own else targets_here(way)
        places: dict[int, int] = {}
        notes: list[str] = []
        for forward in way.forwards:
            wanted = forward.port if self.own else forward.local
            if forward.port in kept:
                places[forward.port] = kept[forward.port]
                continue
            said = len(notes)
            found = free_port(address, wanted, taken | avoided, notes.append)
            if found != wanted and len(notes) == said:
                notes.append(f"port {wanted} is in use here: {found} is used")
            taken.add(found)
            places[forward.port] = found
        if len(way.forwards) < sum(len(ports) for ports in way.tunnel.target_ports):
            notes.append(f"of each range the first {MAX_FORWARDS_OF_A_RANGE} are open")
        if row.way is None or notes:
            row.notes = notes
        row.way = evolve(way, local_address=address, local_ports=places)


class Together:
    """Keeps tunnels open until it is ended.

    :param fetch: asks the API for one's tunnels.
    :param token: makes a one-time token, good for any tunnel.
    :param clock: gives seconds that never go back.
    """

    def __init__(
        self,
        wanted: Wanted,
        fetch: Callable[[], Tunnels],
        token: Callable[[], str],
        board: Board,
        *,
        places: Places | None = None,
        clock: Callable[[], float] = time.monotonic,
        link: Callable[..., Link] = Link,
    ) -> None:
        self._wanted = wanted
        self._fetch = fetch
        self._token = token
        self._board = board
        self._places = places or Places.of_this_machine()
        self._clock = clock
        self._make_link = link
        self._sleep = Sleep()
        self._links: dict[Method, Link] = {}
        self._rows: dict[str, Row] = {}
        self._next_look = 0.0
        self._were_up = False

    @property
    def rows(self) -> list[Row]:
        """List the rows in the order of their names, those that were named first as they were."""
        return list(self._rows.values())

    def begin(self) -> None:
        """Ask the API for the tunnels, and make the rows.

        :raise Failed: there is nothing that could be opened, with the reason.
        """
        tunnels = self._fetch()
        for name in self._wanted.names:
            tunnels.check_named(name)
        self._follow(tunnels)
        if not self._rows:
            raise Failed("no tunnel is assigned to you: an administrator can do that")
        if all(row.way is None for row in self.rows):
            raise Failed("; ".join(f"{row.name}: {row.fault}" for row in self.rows))
        self._next_look = self._clock() + _REFRESH_SECONDS

    def step(self) -> float:
        """Do what is due now.

        :return: how many seconds may pass until the next step.
        :raise Failed: nothing is tried any more, with the reason.
        """
        now = self._clock()
        if self._sleep.is_over():
            for link in self._links.values():
                link.restart("this machine was asleep", now)
            self._next_look = now
        if now >= self._next_look:
            self._look(now)
        for link in self._links.values():
            link.step(now)
        are_up = all(link.is_up for link in self._links.values())
        if self._were_up and not are_up:
            # A connection that ended is when most is new.
            self._next_look = min(self._next_look, now + 1)
        self._were_up = are_up
        self._board.show(self.rows)
        if all(link.refusal for link in self._links.values()):
            reasons = dict.fromkeys(link.refusal for link in self._links.values())
            raise Failed("; ".join(reasons))
        return _IDLE_SECONDS if are_up else _BUSY_SECONDS

    def _look(self, now: float) -> None:
        """Ask the API what has changed; without an answer all stays as it is."""
        self._next_look = now + _REFRESH_SECONDS
        try:
            self._follow(self._fetch())
        except Failed as error:
            if lasts(error):
                raise
            return

    def _follow(self, tunnels: Tunnels) -> None:
        """Make the rows as the list of tunnels is now."""
        names = list(self._wanted.names) or tunnels.names
        addresses = own_addresses(tunnels.ids.values())
        for name in dict.fromkeys([*self._rows, *names]):
            row = self._rows.setdefault(name, Row(name))
            try:
                way = tunnels.way(name, method=self._wanted.method, key_file=self._wanted.key_file)
            except Failed as error:
                if row.way is None:
                    row.fault = str(error)
                else:
                    row.is_gone, row.fault = True, "it is no longer assigned to you"
                continue
            row.standing = tunnels.standing(name)
            self._put(row, way, addresses[tunnels.ids[name]])
        _allow_descriptors(sum(len(row.way.forwards) for row in self.rows if row.way is not None))
        for link in self._links.values():
            link.follow()

    def _put(self, row: Row, way: Way, address: str) -> None:
        """Hand a row to the connection of its method."""
        before = None if row.way is None else row.way.method
        try:
            self._places.put(row, way, address)
        except Failed as error:
            row.fault = str(error)
            return
        row.is_gone, row.fault = False, ""
        if before is way.method:
            return
        if before is not None:
            self._links[before].rows.remove(row)
        link = self._links.get(way.method)
        if link is None:
            link = self._links[way.method] = self._make_link(
                way.method, self._token, self._board.tell
            )
        link.rows.append(row)
        row.link = (State.CONNECTING, "")

    def run_until_settled(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Keep them open until each is open or its fault is known; half a minute at most.

        :raise Failed: nothing is tried any more, with the reason.
        """
        until = self._clock() + _SETTLED_SECONDS
        while self._clock() < until and not all(
            row.state[0] != State.CONNECTING for row in self.rows
        ):
            wait(self.step())

    def run(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Keep them open; ends only by an exception."""
        while True:
            wait(self.step())

    def end(self) -> None:
        """End every connection, and leave nothing behind."""
        for link in self._links.values():
            link.end()


def _allow_descriptors(ports: int) -> None:
    """Let ssh have a descriptor for each port and for some streams, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * ports + _SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))

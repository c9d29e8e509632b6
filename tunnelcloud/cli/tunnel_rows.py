"""Several tunnels that are open at once: a row for each, with its local address and its state.

Rows are shown as a table that is kept current on a terminal, as a line for each change elsewhere,
and as a line of JSON for each change where a program asks for it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from enum import StrEnum

import click
from attrs import define, field

from tunnelcloud.cli.output import answer, one_line, print_json
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.ssh_command import bracketed
from tunnelcloud.domain.tunnel_standing import Stand

_TROUBLES = frozenset({Stand.SHUT, Stand.OFFLINE, Stand.UNREACHABLE, Stand.PARTLY})
_LINES_BELOW = 3


class State(StrEnum):
    """The states of a row, beside the state of its tunnel."""

    CONNECTING = "connecting"
    READY = "ready"
    RECONNECTING = "reconnecting"
    REFUSED = "refused"
    FAILED = "failed"
    GONE = "gone"


@define
class Row:
    """A tunnel and what is known of it.

    :ivar way: how it is opened; None where it can't be.
    :ivar fault: why it can't be opened from here; empty where it can.
    :ivar notes: what differs from what its user may expect.
    :ivar standing: how the tunnel stands, as the API says it, and the same for people.
    :ivar link: the state of its connection, and the reason for it.
    """

    name: str
    way: Way | None = None
    fault: str = ""
    notes: list[str] = field(factory=list)
    is_gone: bool = False
    standing: tuple[str, str] = (Stand.READY, "")
    link: tuple[State, str] = (State.CONNECTING, "")

    @property
    def state(self) -> tuple[str, str]:
        """Give the state in one word, and why it is so or what else is to be known."""
        if self.is_gone:
            return State.GONE, self.fault
        if self.fault:
            return State.FAILED, self.fault
        state, why = self.link
        if self.standing[0] in _TROUBLES and state is not State.REFUSED:
            return self.standing
        notes = self.notes
        if self.standing[0] == Stand.HELD:
            notes = [self.standing[1], *notes]
        return state, why or "; ".join(notes)

    @property
    def is_open(self) -> bool:
        """Whether programs can use it now, as far as is known."""
        return self.state[0] == State.READY

    @property
    def address(self) -> str:
        """Give the address that it has on this machine; empty for none."""
        return "" if self.way is None or self.is_gone else self.way.local_address

    @property
    def places(self) -> str:
        """Say where its ports are on this machine."""
        if self.way is None or not self.address:
            return ""
        ports = [
            f"{one.local}" if one.local == one.port else f"{one.local} (for {one.port})"
            for one in self.way.forwards
        ]
        return f"{bracketed(self.address)}:{', '.join(_runs(ports))}"

    def as_json(self) -> dict[str, object]:
        """Return it for a program: the fields of ``connect`` with one tunnel, and more."""
        state, why = self.state
        forwards = [] if self.way is None or not self.address else self.way.forwards
        return {
            "tunnel": self.name,
            "state": str(state),
            "why": why,
            "method": None if self.way is None else str(self.way.method),
            "forwards": [
                {"port": one.port, "local_address": self.address, "local_port": one.local}
                for one in forwards
            ],
        }


def _runs(ports: Sequence[str]) -> list[str]:
    """Write ports that follow each other as a range."""
    runs: list[list[str]] = []
    for port in ports:
        if (
            runs
            and port.isdigit()
            and runs[-1][-1].isdigit()
            and int(port) == int(runs[-1][-1]) + 1
        ):
            runs[-1].append(port)
        else:
            runs.append([port])
    return [run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]


class Lines:
    """Shows each change of a row on a line of its own.

    :param as_json: whether the lines are for a program.
    """

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json
        self._shown: dict[str, object] = {}

    def show(self, rows: Sequence[Row]) -> None:
        """Show what has changed and is settled."""
        for row in rows:
            now = (row.state, row.places)
            if self._shown.get(row.name) == now or row.state[0] == State.CONNECTING:
                continue
            self._shown[row.name] = now
            if self._as_json:
                print_json(row.as_json(), indent=None)
            else:
                state, why = row.state
                answer(_joined(row.name, row.places, state, why))
        sys.stdout.flush()

    def tell(self, text: str) -> None:
        """Show something that belongs to no row."""
        click.echo(one_line(text), err=True)


class Table:
    """Keeps a table current on a terminal."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._told = "Ctrl-C ends it"

    def show(self, rows: Sequence[Row]) -> None:
        """Write the table over the one before, if anything in it is new."""
        size = shutil.get_terminal_size()
        lines = [line[: size.columns - 1] for line in self._lines(rows, size.lines)]
        if lines == self._shown:
            return
        back = f"\x1b[{len(self._shown)}A\r\x1b[J" if self._shown else ""
        click.echo(back + "\n".join(lines))
        self._shown = lines

    def tell(self, text: str) -> None:
        """Show a message that belongs to no row below the table, from the next time on."""
        self._told = one_line(text)

    def _lines(self, rows: Sequence[Row], height: int) -> list[str]:
        room = max(height - _LINES_BELOW - 1, 1)
        shown = list(rows)
        if len(rows) > room:
            # What needs a look is shown first; the others are counted.
            shown = sorted(rows, key=lambda row: row.is_open)[:room]
        cells = [("TUNNEL", "ADDRESS", "STATE", "")]
        cells += [(row.name, row.places, *row.state) for row in shown]
        widths = [max(len(cell[column]) for cell in cells) for column in range(3)]
        lines = [
            "  ".join(
                one_line(text).ljust(width) for text, width in zip(line, (*widths, 0), strict=True)
            )
            for line in cells
        ]
        if len(shown) < len(rows):
            left = rows_beside(rows, shown)
            lines.append(f"and {len(left)} more, {sum(row.is_open for row in left)} of them ready")
        return [line.rstrip() for line in [*lines, self._told]]


def rows_beside(rows: Sequence[Row], shown: Sequence[Row]) -> list[Row]:
    """Give the rows that aren't shown."""
    names = {row.name for row in shown}
    return [row for row in rows if row.name not in names]


def _joined(name: str, places: str, state: str, why: str) -> str:
    text = " ".join(part for part in (name, places, state) if part)
    return f"{text}: {why}" if why else text

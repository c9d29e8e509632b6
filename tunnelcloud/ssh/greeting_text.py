"""The texts that ``ssh pod`` shows; pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from tunnelcloud.domain.quantities import bytes_text
from tunnelcloud.net.escaping import escape
from tunnelcloud.ssh.interfaces import DoctorStep, TunnelRow, TunnelTraffic

_Row = TypeVar("_Row")
_ROWS = 32
"""Rows of a list that are written in one turn of the reactor."""
NO_TRAFFIC = TunnelTraffic(0, 0, 0)
_WHICH_KEY = "\nssh tries the keys that it finds by itself: if yours is elsewhere, add -i FILE.\n"


def ls_text(rows: Sequence[TunnelRow]) -> Iterator[str]:
    """Give the tunnels as lines for people, in parts of some rows each."""
    if not rows:
        yield "You have no tunnels that this login can open.\n"
        return
    width = max(len(row.name) for row in rows)
    for part in _parts(rows):
        lines = []
        for row in part:
            title = f"  {row.title}" if row.title else ""
            lines += [f"{row.name:<{width}}  {row.state}{title}", f"    {row.command}"]
        yield "\n".join(lines) + "\n"
    if any(row.by_key for row in rows):
        yield _WHICH_KEY


def ls_json(rows: Sequence[TunnelRow]) -> Iterator[str]:
    """Give the API's objects as ``json_text`` does, in parts of some rows each."""
    if not rows:
        yield json_text([])
        return
    start = "["
    for part in _parts(rows):
        text = json_text([dict(row.api()) for row in part])
        yield start + text.removeprefix("[").removesuffix("\n]\n")
        start = ","
    yield "\n]\n"


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    return (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))


def traffic_text(names: Sequence[str], carried: Mapping[str, TunnelTraffic]) -> Iterator[str]:
    """Show what each tunnel carries, in parts of some lines each."""
    for part in _parts(names):
        yield "".join(f"{traffic_line(name, carried.get(name, NO_TRAFFIC))}\n" for name in part)


def traffic_line(name: str, traffic: TunnelTraffic) -> str:
    """Show what one tunnel carries."""
    sent, received = bytes_text(traffic.bytes_to_target), bytes_text(traffic.bytes_from_target)
    return f"{escape(name)}: {traffic.open_channels} open, {sent} sent, {received} received"


def step_line(step: DoctorStep) -> str:
    """Show one checked hop."""
    mark = "FAIL" if not step.ok else "warn" if step.warning else "ok  "
    return f"{mark}  {step.name:<12} {step.milliseconds:8.1f} ms  {step.text}\n"


def json_text(value: object) -> str:
    """Give JSON in ASCII, which a terminal can't obey, one value a line."""
    return json.dumps(value, indent=2, default=_instant) + "\n"


def _instant(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""The words of what C{ssh pod} shows; pure."""

import json
from collections.abc import Sequence
from datetime import datetime

from tunnelcloud.ssh.escaping import escape
from tunnelcloud.ssh.interfaces import DoctorStep, TunnelRow, TunnelTraffic


def listing(rows: Sequence[TunnelRow]) -> str:
    """List tunnels, each with its state and its command."""
    if not rows:
        return "You have no tunnels that this login can open.\n"
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        title = f"  {row.title}" if row.title else ""
        lines += [f"{row.name:<{width}}  {row.state}{title}", f"    {row.command}"]
    return "\n".join(lines) + "\n"


def traffic_line(name: str, traffic: TunnelTraffic) -> str:
    """Show what one tunnel carries."""
    sent, received = _bytes(traffic.bytes_to_target), _bytes(traffic.bytes_from_target)
    return f"{escape(name)}: {traffic.open_channels} open, {sent} sent, {received} received"


def _bytes(count: int) -> str:
    """Give a number of bytes in binary units."""
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


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

"""Weekly hours and networks in a form: rows with day buttons and chips, beside the plain text.

A form's value is always the text, a line each; rows and chips are only another way to show and to
type it.  Other values stay in the text area.
"""

from __future__ import annotations

import re
from functools import cache
from zoneinfo import available_timezones

from attrs import frozen

from tunnelcloud.domain.addresses import read_network
from tunnelcloud.domain.schedule import DAYS, BadWindow, parse_window
from tunnelcloud.web.portal.page_requests import Visit

MOST_ROWS = 12
MOST_CHIPS = 200
_MISSING = "?"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_ROW = re.compile(rf"(?P<days>\S+) (?P<start>{_CLOCK}|\?)-(?P<end>{_CLOCK}|\?) (?P<zone>\S+)")
_TIME = re.compile(r"\d\d:\d\d")
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,60}")
_AREAS = frozenset(
    ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe",
     "Indian", "Pacific")
)  # fmt: skip


@frozen
class HourRow:
    """One window as a row of the form has it; what is missing is empty."""

    days: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    zone: str = ""


@frozen
class Hours:
    """Windows as the form shows them.

    :ivar rows: those of the rows, and an empty one behind them.
    :ivar text: the lines that aren't in the rows.
    """

    rows: tuple[HourRow, ...]
    text: str


@frozen
class Chips:
    """Networks as the form shows them; as ``Hours``."""

    chips: tuple[str, ...]
    text: str


def hours_of(value: str) -> Hours:
    """Take the lines of windows apart into rows and the rest."""
    rows, rest = list[HourRow](), list[str]()
    for line in value.splitlines():
        row = _row(line.strip()) if len(rows) < MOST_ROWS - 1 else None
        if row is not None:
            rows.append(row)
        elif line.strip():
            rest.append(line.strip())
    zone = rows[-1].zone if rows else "UTC"
    return Hours((*rows, HourRow(zone=zone)), "\n".join(rest))


def chips_of(value: str) -> Chips:
    """Take the lines of networks apart into chips and the rest."""
    chips, rest = list[str](), list[str]()
    for line in filter(None, map(str.strip, value.splitlines())):
        (chips if len(chips) < MOST_CHIPS and _is_network(line) else rest).append(line)
    return Chips(tuple(chips), "\n".join(rest))


def typed_hours(name: str, visit: Visit) -> str:
    """Give the windows that were typed into a form's rows and into its text, a line each."""
    lines = [_line(name, number, visit) for number in range(MOST_ROWS)]
    return "\n".join(filter(None, [*lines, *visit.typed(name).splitlines()]))


def typed_networks(name: str, visit: Visit) -> str:
    """Give the networks whose chips were left in a form, and those of its text, a line each."""
    typed = re.split(r"[\s,]+", visit.typed(name))
    kept = visit.form.get(f"{name}_kept", ())
    return "\n".join(dict.fromkeys(filter(None, [*kept, *typed])))


def fault_of_hours(value: str, fault: str) -> str:
    """Return the fault of the typed windows; for an incomplete row, what is missing."""
    for number, row in enumerate(hours_of(value).rows[:-1], 1):
        missing = [
            text
            for text, given in (
                ("at least one day", row.days),
                ("when it begins", row.start),
                ("when it ends", row.end),
                ("a time zone", row.zone),
            )
            if not given
        ]
        if missing:
            return f"hours {number}: choose {' and '.join(missing)}"
    return fault


@cache
def zone_names() -> tuple[str, ...]:
    """List the time zones that are offered: those of places, and UTC."""
    found = (one for one in available_timezones() if one.partition("/")[0] in _AREAS)
    return ("UTC", *sorted(found))


def _line(name: str, number: int, visit: Visit) -> str:
    """Write a row of a form as a line; nothing for one that is empty or taken away."""
    if f"{name}_gone_{number}" in visit.form:
        return ""
    given = visit.form.get(f"{name}_days_{number}", ())
    days = ",".join(day for day in DAYS if day in given)
    times = [visit.typed(f"{name}_{one}_{number}").strip() for one in ("start", "end")]
    if not (days or any(times)):
        return ""
    start, end = map(_clock, times)
    zone = visit.typed(f"{name}_zone_{number}").strip()
    zone = zone if _ZONE.fullmatch(zone) else ""
    days, start, end, zone = (one or _MISSING for one in (days, start, end, zone))
    return f"{days} {start}-{end} {zone}"


def _clock(typed: str) -> str:
    """Give the hours and minutes of a time as browsers send it; some add seconds."""
    return typed[:5] if _TIME.fullmatch(typed[:5]) else ""


def _row(line: str) -> HourRow | None:
    try:
        window = parse_window(line)
    except BadWindow:
        return _as_typed(line)
    days = tuple(DAYS[day] for day in window.days)
    return HourRow(days, f"{window.start:%H:%M}", f"{window.end:%H:%M}", window.zone)


def _as_typed(line: str) -> HourRow | None:
    """Read a line that ``_line`` made of a row in which something is missing or wrong.

    It stays in its row: in the text it would be a second, wrong line beside the mended row.
    """
    match = _ROW.fullmatch(line)
    if match is None:
        return None
    given = {name: "" if text == _MISSING else text for name, text in match.groupdict().items()}
    days = tuple(given["days"].split(",")) if given["days"] else ()
    if not set(days) <= set(DAYS):
        return None
    return HourRow(days, given["start"], given["end"], given["zone"])


def _is_network(text: str) -> bool:
    try:
        read_network(text)
    except ValueError:
        return False
    return True

"""Weekly windows with a time zone: ``Mon-Fri 09:00-18:00 Europe/Paris``.

Pure: what time it is comes in as an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from attrs import frozen

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = re.compile(
    r"(?P<days>[A-Za-z,-]+)\s+(?P<start>\d{2}:\d{2})-(?P<end>\d{2}:\d{2})\s+(?P<zone>\S+)"
)


_MINUTE = timedelta(minutes=1)
_MOST_KEPT = 1024
"""How many pairs of a window and a day have their openings kept.  A pair takes at most 5 KB."""


class BadWindow(ValueError):
    """A text that isn't a weekly window; the message says what one looks like."""


@frozen
class Window:
    """Days of the week (0 is Monday) and wall-clock times in a zone.

    ``end`` at or before ``start`` means that the window ends on the next day.  A window whose zone
    this machine doesn't know never opens: others wrote it, or an upgrade took the zone away.
    """

    days: tuple[int, ...]
    start: time
    end: time
    zone: str

    def __str__(self) -> str:
        times = f"{self.start:%H:%M}-{_clock(self.end)}"
        return f"{_days_text(self.days)} {times} {self.zone}"

    def open_until(self, at: datetime) -> datetime | None:
        """Say when the opening that holds ``at`` ends; None when it isn't open."""
        for one in self._openings(at):
            if one.begins <= at < one.ends:
                return one.end
        return None

    def next_opening(self, at: datetime) -> datetime | None:
        """Say when the window opens next after ``at``, in its own zone; None if it never does."""
        return next((one.start for one in self._openings(at) if one.begins > at), None)

    def _openings(self, at: datetime) -> tuple[_Opening, ...]:
        if not _is_zone(self.zone):
            return ()
        return _openings_around(self, at.astimezone(ZoneInfo(self.zone)).date())


def first_opening(windows: Iterable[Window], at: datetime) -> datetime | None:
    """Say when the first of some windows opens after ``at``; None if none ever does."""
    openings = (one.next_opening(at) for one in windows)
    return min((one for one in openings if one is not None), default=None)


def never_opens(windows: Iterable[Window]) -> str:
    """Say why none of some windows ever opens: this machine doesn't know their zones."""
    zones = ", ".join(sorted({one.zone for one in windows}))
    return f"closed, since the pod doesn't know the time zone of its hours: {zones}"


@frozen
class _Opening:
    """One opening of a window.

    :ivar start: when it opens, in the window's zone; ``begins`` is the same moment in UTC.
    :ivar end: when it closes, in the window's zone; ``ends`` is the same moment in UTC.
    """

    # Two times in UTC are compared faster than two in a zone.
    start: datetime
    end: datetime
    begins: datetime
    ends: datetime


@lru_cache(_MOST_KEPT)
def _openings_around(window: Window, local_day: date) -> tuple[_Opening, ...]:
    """Give a window's openings from a day before ``local_day`` to fifteen days after, in order.

    An opening is left out if it has no length because the clocks go forward at that hour; the next
    one comes within a week.  The answer is kept, since many tunnels may have the same window, and
    a page asks for all of them on one day.

    :param local_day: a day in the window's zone.
    """
    zone = ZoneInfo(window.zone)
    found = []
    for offset in range(-1, 16):
        day = local_day + timedelta(days=offset)
        if day.weekday() not in window.days:
            continue
        start = _on_clock(datetime.combine(day, window.start, zone))
        last_day = day if window.end > window.start else day + timedelta(days=1)
        end = _on_clock(datetime.combine(last_day, window.end, zone))
        # In UTC: Python compares two times of one zone by what its clocks show.
        begins, ends = start.astimezone(UTC), end.astimezone(UTC)
        if begins < ends:
            found.append(_Opening(start, end, begins, ends))
    return tuple(found)


def _on_clock(local: datetime) -> datetime:
    """Give a local time, or the moment when the zone's clocks skip it as they go forward."""
    zone, moment = local.tzinfo, local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return local
    # Times of two zones may be the same moment, so the zone is asked for by itself.
    return _skip(str(zone), moment)


@lru_cache(256)
def _skip(zone_name: str, moment: datetime) -> datetime:
    """Find when a zone's clocks went forward last before a moment: a few hours at most."""
    zone = ZoneInfo(zone_name)
    offset = moment.astimezone(zone).utcoffset()
    while (moment - _MINUTE).astimezone(zone).utcoffset() == offset:
        moment -= _MINUTE
    return moment.astimezone(zone)


def _clock(value: time) -> str:
    return "24:00" if value == time(0) else f"{value:%H:%M}"


def _days_text(days: tuple[int, ...]) -> str:
    if len(days) > 2 and days == tuple(range(days[0], days[-1] + 1)):
        return f"{DAYS[days[0]]}-{DAYS[days[-1]]}"
    return ",".join(DAYS[day] for day in days)


def _parse_day(text: str) -> int:
    try:
        return DAYS.index(text[:3].capitalize())
    except ValueError:
        raise BadWindow(
            f"{text[:60]!r} is not a day: use Mon, Tue, Wed, Thu, Fri, Sat or Sun"
        ) from None


def _parse_time(text: str) -> time:
    hours, minutes = int(text[:2]), int(text[3:])
    if (hours, minutes) == (24, 0):
        return time(0)
    if hours > 23 or minutes > 59:
        raise BadWindow(f"{text} is not a time of day: use 00:00 to 24:00")
    return time(hours, minutes)


_COPIES = ("posix", "posixrules", "right")
"""Where a machine may keep the zones a second time, with leap seconds or without."""


@lru_cache(1024)
def _is_zone(name: str) -> bool:
    """Tell whether a zone has this name, by its one file: a list of all walks through hundreds."""
    if name.partition("/")[0] in _COPIES:
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def parse_window(text: str) -> Window:
    """Read ``DAYS HH:MM-HH:MM ZONE``, where DAYS is ``Mon``, ``Mon-Fri``, ``Sat,Sun`` or a mix.

    :raise BadWindow: with what to write instead.
    """
    window = read_window(text)
    if not _is_zone(window.zone):
        raise BadWindow(
            f"{window.zone[:60]!r} is not a time zone: use an IANA name such as Europe/Paris or UTC"
        )
    return window


def read_window(text: str) -> Window:
    """Read a window that was kept, whatever its zone: see ``Window``.

    :raise BadWindow: it isn't one.
    """
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise BadWindow(
            f"{text[:60]!r} is not a window: write it as Mon-Fri 09:00-18:00 Europe/Paris"
        )
    days: set[int] = set()
    for part in match["days"].split(","):
        first, dash, last = part.partition("-")
        start = _parse_day(first)
        stop = _parse_day(last) if dash else start
        days.update((start + step) % 7 for step in range((stop - start) % 7 + 1))
    return Window(
        days=tuple(sorted(days)),
        start=_parse_time(match["start"]),
        end=_parse_time(match["end"]),
        zone=match["zone"],
    )

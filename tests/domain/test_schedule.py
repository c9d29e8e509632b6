"""The zones of weekly windows: those that there are, without a list of all."""

import os
import zoneinfo
from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.schedule import (
    BadWindow,
    _openings_around,
    first_opening,
    never_opens,
    parse_window,
    read_window,
)

NONE = (
    "Nowhere/Town", "europe/paris", "../UTC", "/etc/passwd", "Europe", "posix/UTC", "right/UTC",
    "posixrules", "tzdata.zi", "a" * 5000, "a\0b", "\ud800", "..",
)  # fmt: skip


def window(zone):
    """Write a window in a zone."""
    return f"Mon 09:00-18:00 {zone}"


class ZoneTests(SynchronousTestCase):
    def test_every_zone_there_is(self):
        for zone in zoneinfo.available_timezones():
            self.assertEqual(parse_window(window(zone)).zone, zone)

    def test_what_is_none(self):
        for name in NONE:
            self.assertRaises(BadWindow, parse_window, window(name))

    def test_the_directory_of_zones_is_not_walked_through(self):
        def walk(*args, **kwargs):
            raise AssertionError("that takes a tenth of a second")

        self.patch(os, "walk", walk)
        parse_window(window("Asia/Kathmandu"))
        self.assertRaises(BadWindow, parse_window, window("Nowhere"))


class UnknownZoneTests(SynchronousTestCase):
    """An upgrade of the machine may take a zone away, and another pod may know more of them."""

    def test_it_never_opens(self):
        unknown = read_window("Mon-Sun 00:00-24:00 US/Gonezone")
        self.assertEqual(str(unknown), "Mon-Sun 00:00-24:00 US/Gonezone")
        now = datetime(2026, 3, 2, 9, tzinfo=UTC)
        self.assertIsNone(unknown.open_until(now))
        self.assertIsNone(first_opening([unknown], now))
        known = parse_window("Tue 09:00-10:00 UTC")
        self.assertEqual(first_opening([unknown, known], now), now + timedelta(days=1))
        self.assertEqual(
            never_opens([unknown]),
            "closed, since the pod doesn't know the time zone of its hours: US/Gonezone",
        )
        self.assertRaises(BadWindow, parse_window, str(unknown))


class ManyTunnelsTests(SynchronousTestCase):
    def test_the_days_of_a_window_are_worked_out_once(self):
        """A page shows many tunnels under the same policy, which may have 64 windows."""
        windows = [parse_window(f"Mon 0{hour}:17-23:41 Asia/Kathmandu") for hour in range(8)]
        at = datetime(2027, 3, 27, tzinfo=UTC)
        before = _openings_around.cache_info().misses
        for second in range(50):
            for one in windows:
                one.open_until(at + timedelta(seconds=second))
                one.next_opening(at + timedelta(seconds=second))
        self.assertEqual(_openings_around.cache_info().misses - before, len(windows))


class ClockChangeTests(SynchronousTestCase):
    """In Paris, the clock goes from 02:00 to 03:00 on 28 March 2027."""

    def opens(self, text, at):
        one = parse_window(text)
        opening = one.next_opening(at)
        begun = opening.astimezone(UTC)
        self.assertIsNotNone(one.open_until(begun), "what is told is open then")
        return begun

    def test_an_hour_that_there_is_not(self):
        at = datetime(2027, 3, 27, tzinfo=UTC)
        for times, opening in [
            ("02:00-03:00", datetime(2027, 4, 4, 0, 0, tzinfo=UTC)),
            ("02:30-03:00", datetime(2027, 4, 4, 0, 30, tzinfo=UTC)),
            ("01:30-02:30", datetime(2027, 3, 28, 0, 30, tzinfo=UTC)),
            ("02:00-03:30", datetime(2027, 3, 28, 1, 0, tzinfo=UTC)),
        ]:
            found = self.opens(f"Sun {times} Europe/Paris", at)
            self.assertEqual(found, opening, times)

    def test_an_end_that_the_clock_skips(self):
        """At 02:30 it is over, and there is no 02:30: so it is over when the clock goes on."""
        change = datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
        one = parse_window("Sun 01:30-02:30 Europe/Paris")
        self.assertEqual(one.open_until(change - timedelta(minutes=15)), change)
        self.assertIsNone(one.open_until(change))
        self.assertIsNone(one.open_until(change + timedelta(minutes=15)))
        night = parse_window("Sat 22:00-02:15 Europe/Paris")
        self.assertEqual(night.open_until(change - timedelta(hours=2)), change)

    def test_a_beginning_that_the_clock_skips(self):
        change = datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
        self.assertEqual(
            self.opens("Sun 02:30-04:00 Europe/Paris", datetime(2027, 3, 27, tzinfo=UTC)), change
        )
        half = parse_window("Sun 02:10-04:00 Australia/Lord_Howe")
        at = datetime(2027, 10, 2, tzinfo=UTC)
        self.assertEqual(
            half.next_opening(at).astimezone(UTC), datetime(2027, 10, 2, 15, 30, tzinfo=UTC)
        )

    def test_an_hour_that_there_is_twice(self):
        at = datetime(2027, 10, 30, tzinfo=UTC)
        found = self.opens("Sun 02:00-03:00 Europe/Paris", at)
        self.assertEqual(found, datetime(2027, 10, 31, 0, 0, tzinfo=UTC))

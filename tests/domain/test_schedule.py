"""The zones of weekly windows: those that there are, without a list of all."""

import os
import zoneinfo

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.schedule import BadWindow, parse_window

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

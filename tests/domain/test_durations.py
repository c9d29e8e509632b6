"""Lengths of time, written and read."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud
from tunnelcloud.domain.durations import HOW, BadLength, length_text, read_length

_UNITS = re.compile(r"\b86_?400\b.*\b3_?600\b")
_OTHERS = {
    "durations.py",
    "counters.py",  # the buckets of a histogram
    "session_commands.py",  # the grammar of sleep(1)
    "rendering.py",  # how long ago something was
}


class LengthTests(SynchronousTestCase):
    def test_what_is_written_is_read_again(self):
        for seconds in (0, 1, 59, 60, 90, 3600, 5400, 28_800, 86_400, 604_800, 31_622_400):
            self.assertEqual(read_length(length_text(seconds)), seconds)
        self.assertEqual([length_text(one) for one in (0, 90, 7200)], ["0s", "90s", "2h"])
        self.assertEqual(read_length(" 7 d "), 604_800)

    def test_a_number_alone_is_no_length(self):
        for text in ("", "900", "0", "-1s", "1.5h", "8 hours", "8hh", "9" * 10 + "s", "\u0661s"):
            with self.assertRaisesRegex(BadLength, HOW):
                read_length(text)

    def test_nobody_else_knows_the_units(self):
        for path in Path(tunnelcloud.__file__).parent.rglob("*.py"):
            if path.name not in _OTHERS:
                self.assertIsNone(_UNITS.search(path.read_text()), path.name)

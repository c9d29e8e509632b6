"""The stream oracle over 500 MiB, and that it can fail."""

import random

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns.coded_bytes import CELL, Reader, coded
from tests.campaigns.processes import run_campaign


class CodedBytesTests(SynchronousTestCase):
    def setUp(self):
        self.chance = random.Random(1)
        self.stream = coded(7, 0, 10 * CELL)

    def wrong(self, data):
        """Take ``data`` in pieces of any size; tell whether it was found to be wrong."""
        reader = Reader(7)
        taken = 0
        while taken < len(data):
            size = self.chance.randint(1, 3 * CELL)
            reader.take(data[taken : taken + size])
            taken += size
        self.assertEqual(reader.received, len(data))
        return reader.wrong

    def test_takes_what_was_sent(self):
        for _ in range(20):
            self.assertFalse(self.wrong(self.stream))
        self.assertEqual(coded(7, 5000, 9000), self.stream[5000:14000])
        self.assertEqual(coded(7, 0, 0), b"")

    def test_notices_what_is_lost_doubled_moved_or_anothers(self):
        for _ in range(200):
            start, end = sorted(self.chance.sample(range(9 * CELL), 2))
            before, piece, after = self.stream[:start], self.stream[start:end], self.stream[end:]
            for data in (
                before + after,
                before + piece + piece + after,
                piece + before + after,
                before + coded(8, start, end - start) + after,
                before + bytes((piece[0] ^ 1,)) + piece[1:] + after,
            ):
                if data != self.stream:
                    self.assertTrue(self.wrong(data))


class StreamOracleTests(SynchronousTestCase):
    def test_500_mib(self):
        self.assertIn('"streams"', run_campaign("stream_oracle", "--mib", 500, "--slow-seconds", 8))

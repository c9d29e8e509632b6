from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.gathering import ALONE, SMALL, Gathering


class GatheringTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.clock.advance(1)
        self.flushed = []
        self.gathering = Gathering(self.clock, lambda: self.flushed.append(self.clock.seconds()))

    def test_a_keystroke_waits_for_nothing(self):
        for _ in range(3):
            self.assertFalse(self.gathering.waits(SMALL - 1))
            self.clock.advance(2 * ALONE)
        self.assertEqual(self.flushed, [])

    def test_what_follows_at_once_leaves_in_one_write(self):
        self.assertFalse(self.gathering.waits(10))
        for _ in range(5):
            self.assertTrue(self.gathering.waits(10))
        self.clock.advance(0)
        self.assertEqual(len(self.flushed), 1)

    def test_bulk_waits_for_the_turn(self):
        self.assertTrue(self.gathering.waits(SMALL))
        self.assertTrue(self.gathering.waits(1))
        self.clock.advance(0)
        self.assertEqual(len(self.flushed), 1)
        self.assertTrue(self.gathering.waits(SMALL))

    def test_nothing_is_flushed_after_the_end(self):
        self.gathering.waits(SMALL)
        self.gathering.stop()
        self.clock.advance(1)
        self.assertEqual(self.flushed, [])
        self.gathering.stop()

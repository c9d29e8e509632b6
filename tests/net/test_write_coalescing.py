from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.write_coalescing import ALONE, SMALL, TURN, Gathering


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

    def test_what_a_read_of_another_connection_brings_leaves_at_its_end(self):
        with TURN:
            for _ in range(3):
                self.assertTrue(self.gathering.waits(10))
            self.assertTrue(self.gathering.waits_for_event())
            self.assertEqual(self.flushed, [])
        self.assertEqual(len(self.flushed), 1)
        self.clock.advance(2 * ALONE)
        self.assertFalse(self.gathering.waits(10))
        self.assertFalse(self.gathering.waits_for_event())
        self.assertEqual(len(self.flushed), 1)

    def test_events_within_an_event_are_one(self):
        with TURN:
            with TURN:
                self.gathering.waits_for_event()
            self.assertEqual(self.flushed, [])
        self.assertEqual(len(self.flushed), 1)
        self.assertFalse(TURN.lasts)

    def test_bulk_waits_for_the_turn_beyond_the_event(self):
        with TURN:
            self.assertTrue(self.gathering.waits(SMALL))
            self.assertTrue(self.gathering.waits_for_event())
        self.assertEqual(self.flushed, [])
        self.clock.advance(0)
        self.assertEqual(len(self.flushed), 1)

    def test_nothing_is_flushed_at_the_end_of_an_event_after_the_end(self):
        with TURN:
            self.gathering.waits(10)
            self.gathering.stop()
        self.assertEqual(self.flushed, [])

    def test_a_fault_of_one_writer_is_no_others(self):
        broken = Gathering(self.clock, lambda: 1 / 0)
        with TURN:
            broken.waits(10)
            self.gathering.waits(10)
        self.assertEqual(len(self.flushed), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_fault_of_the_event_keeps_no_writer_from_writing(self):
        with self.assertRaises(ZeroDivisionError), TURN:
            self.gathering.waits(10)
            raise ZeroDivisionError
        self.assertEqual(len(self.flushed), 1)
        self.assertFalse(TURN.lasts)

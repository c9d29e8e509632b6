"""All that there is is looked at for garbage only when the program has grown for good."""

import gc

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.garbage_collection import (
    BUSY_GROWTH,
    GROWTH,
    QUIET_SHARE,
    SAMPLE_SECONDS,
    SAMPLES,
    Growth,
    look_seldom,
    not_held,
)

START = 300_000


class GrowthTests(SynchronousTestCase):
    def setUp(self):
        self.looks = []
        self.there = START
        self.garbage = 0
        self.worked = 0.0
        self.share = QUIET_SHARE / 2
        self.growth = Growth(lambda: self.there, self.collect, lambda: self.worked)
        self.growth.sample()

    def collect(self):
        self.looks.append(self.there)
        self.there -= self.garbage

    def sample(self, *counts):
        for self.there in counts:
            self.worked += self.share * SAMPLE_SECONDS
            self.growth.sample()

    def test_what_goes_again_is_no_growth(self):
        for _ in range(10):
            self.sample(*[START + 10 * GROWTH] * (SAMPLES - 1), START)
        self.assertEqual(self.looks, [])

    def test_growth_for_good_is_looked_at_once(self):
        self.sample(*[START + GROWTH + 1] * 10 * SAMPLES)
        self.assertEqual(self.looks, [START + GROWTH + 1])

    def test_the_more_there_is_the_more_seldom_it_is_looked_at(self):
        self.sample(*(START + 1_000 * number for number in range(10_000)))
        self.assertLess(len(self.looks), 9)

    def test_what_was_found_counts_no_more(self):
        self.garbage = GROWTH
        self.sample(*[START + GROWTH + 1] * SAMPLES)
        self.sample(*[START + GROWTH + 1] * SAMPLES)
        self.assertEqual(len(self.looks), 1)
        self.sample(START + GROWTH + 2)
        self.sample(*[START + 2 * GROWTH] * SAMPLES)
        self.assertEqual(len(self.looks), 2)

    def test_after_shrinking(self):
        self.sample(*[START // 3] * SAMPLES)
        self.sample(*[START // 3 + GROWTH + 1] * SAMPLES)
        self.assertEqual(len(self.looks), 1)

    def test_nobody_waits_for_a_look_at_what_has_grown_a_little(self):
        self.share = 2 * QUIET_SHARE
        self.sample(*[START + BUSY_GROWTH] * 10 * SAMPLES)
        self.assertEqual(self.looks, [])
        self.share = 0
        self.sample(*[START + BUSY_GROWTH] * SAMPLES)
        self.assertEqual(len(self.looks), 1)

    def test_a_busy_program_that_has_grown_by_a_lot(self):
        self.share = 1.0
        self.sample(*[START + BUSY_GROWTH + 1] * 10 * SAMPLES)
        self.assertEqual(self.looks, [START + BUSY_GROWTH + 1])


class ProgramTests(SynchronousTestCase):
    def setUp(self):
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)

    def test_python_alone_never_looks_at_everything(self):
        reactor = MemoryReactorClock()
        look_seldom(reactor)
        kept = [[number] for number in range(200_000)]
        before = gc.get_stats()[2]["collections"]
        for _ in range(30):
            kept = [[one] for one in kept]
        self.assertEqual(gc.get_stats()[2]["collections"], before)

    def test_open_connections_are_no_growth(self):
        reactor = MemoryReactorClock()
        before = not_held(reactor)
        kept = []
        for _ in range(1_500):
            kept.append([object() for _ in range(100)])  # what a stranger has the program keep
            reactor.addReader(object())
        self.assertLess(not_held(reactor) - before, 0)
        leaked = [[number] for number in range(GROWTH)]
        self.assertGreater(not_held(reactor) - before, GROWTH)
        del leaked

    def test_a_running_program(self):
        reactor = MemoryReactorClock()
        look_seldom(reactor)
        before = gc.get_freeze_count()
        reactor.run()
        self.assertGreater(gc.get_freeze_count(), before)
        reactor.advance(SAMPLE_SECONDS)
        self.assertEqual(len(reactor.getDelayedCalls()), 1)

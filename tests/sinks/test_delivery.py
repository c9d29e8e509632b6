"""From a spool to an outlet: one batch at a time, in order, and again until it was taken."""

import time
from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.sinks.delivery import BATCH, LONGEST_DELAY, PATIENCE, Delivery
from tunnelcloud.sinks.interfaces import DeliveryFailed
from tunnelcloud.sinks.spool import Spool


class Reactor(Clock):
    """A clock that other threads may call; what they call is done when the test says so."""

    def __init__(self):
        super().__init__()
        self.called = []

    def callFromThread(self, function, *args):
        self.called.append((function, args))

    def turn(self):
        for function, args in self.called[:]:
            self.called.remove((function, args))
            function(*args)
        self.advance(0)


class Outlet:
    def __init__(self):
        self.batches = []
        self.answers = []
        self.reopened = 0

    def send(self, lines):
        self.batches.append(list(lines))
        return self.answers.pop(0) if self.answers else succeed(None)

    def reopen(self):
        self.reopened += 1


class DeliveryTests(SynchronousTestCase):
    def setUp(self):
        self.reactor = Reactor()
        self.outlet = Outlet()
        self.directory = Path(self.mktemp())
        self.delivery = self.make()

    def make(self):
        spool = Spool.open(self.directory, 1 << 20)
        self.addCleanup(spool.close)
        return Delivery("syslog", spool, self.outlet, self.reactor, lambda: 0.5)

    def add(self, *numbers):
        self.delivery.add([b"%d" % number for number in numbers])

    def report(self):
        report = self.delivery.report()
        return report.delivered, report.failures, report.dropped, report.waiting_bytes

    def test_what_was_there_and_what_comes(self):
        self.add(1, 2)
        self.assertEqual(self.reactor.called, [])
        self.delivery.start()
        self.reactor.turn()
        self.add(3)
        self.add(4)
        self.assertEqual(len(self.reactor.called), 1)
        self.reactor.turn()
        self.assertEqual(self.outlet.batches, [[b"1", b"2"], [b"3", b"4"]])
        self.assertEqual(self.report(), (4, 0, 0, 0))

    def test_one_batch_at_a_time(self):
        first = Deferred()
        self.outlet.answers = [first]
        self.add(*range(2 * BATCH))
        self.delivery.start()
        self.add(9999)
        self.reactor.turn()
        self.assertEqual([len(batch) for batch in self.outlet.batches], [BATCH])
        first.callback(None)
        for _ in range(3):
            self.reactor.turn()
        self.assertEqual([len(batch) for batch in self.outlet.batches], [BATCH, BATCH, 1])

    def test_a_failure_is_tried_again_later_each_time(self):
        self.outlet.answers = [fail(DeliveryFailed("down")) for _ in range(12)]
        self.add(1)
        self.delivery.start()
        self.add(2)
        waits = []
        for _ in range(12):
            self.reactor.turn()
            (call,) = self.reactor.getDelayedCalls()
            waits.append(call.getTime() - self.reactor.seconds())
            self.reactor.advance(waits[-1])
        self.assertEqual(waits[:4], [1, 2, 4, 8])
        self.assertEqual(max(waits), LONGEST_DELAY)
        self.assertEqual(self.outlet.batches[0], [b"1"])
        self.assertEqual(self.outlet.batches[-1], [b"1", b"2"])
        self.assertEqual((self.report(), self.outlet.reopened), ((2, 12, 0, 0), 12))
        self.outlet.answers = [fail(DeliveryFailed("down again"))]
        self.add(3)
        self.reactor.turn()
        self.assertEqual(self.report()[1], 13)
        (call,) = self.reactor.getDelayedCalls()
        self.assertEqual(call.getTime() - self.reactor.seconds(), 1)

    def test_no_answer_is_a_failure(self):
        never = Deferred()
        self.outlet.answers = [never]
        self.add(1)
        self.delivery.start()
        self.reactor.advance(PATIENCE)
        self.assertTrue(never.called)
        self.assertEqual(self.report()[:2], (0, 1))
        self.reactor.advance(1)
        self.assertEqual(self.outlet.batches, [[b"1"], [b"1"]])

    def test_an_outlet_that_breaks_is_a_failure_too(self):
        self.outlet.send = lambda lines: 1 / 0
        self.add(1)
        self.delivery.start()
        self.assertEqual(self.report()[:2], (0, 1))

    def test_stopped_it_keeps_what_was_not_taken_for_the_next_start(self):
        self.outlet.answers = [Deferred()]
        self.add(1)
        self.delivery.start()
        self.delivery.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.add(2)
        self.assertEqual(self.reactor.called, [])
        self.delivery = self.make()
        self.delivery.start()
        self.assertEqual(self.outlet.batches, [[b"1"], [b"1", b"2"]])

    def test_stopped_while_it_waits_for_the_next_try(self):
        self.outlet.answers = [fail(DeliveryFailed("down"))]
        self.add(1)
        self.delivery.start()
        self.delivery.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_thousand_events_take_short_turns(self):
        text = b"x" * 600
        self.delivery.add([text] * 1000)
        self.delivery.start()
        longest = 0.0
        while self.delivery.spool.size:
            began = time.thread_time()
            self.reactor.turn()
            longest = max(longest, time.thread_time() - began)
        self.assertEqual(self.report()[0], 1000)
        self.assertLess(longest, 0.01)

"""Connections that bring much at once take turns."""

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.message_turns import Rounds


class Turns(Clock):
    """A clock that moves by a second a turn, in which nothing is called that is asked for in it."""

    def callLater(self, delay, call, *args, **kwargs):
        return super().callLater(delay + 1, call, *args, **kwargs)


class RoundsTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Turns()
        self.transport = StringTransport()
        self.left = 3
        self.rounds = Rounds(self.clock, self.work)

    def work(self):
        self.left -= 1
        if self.left:
            self.rounds.wait(self.transport)

    def test_one_round_a_turn(self):
        """Nothing is read until all is done, one part of it in each turn."""
        self.work()
        for left in (2, 1):
            self.assertEqual((self.left, self.transport.producerState), (left, "paused"))
            self.assertTrue(self.rounds.waiting)
            self.clock.advance(1)
        self.assertEqual((self.left, self.transport.producerState), (0, "producing"))
        self.assertFalse(self.rounds.waiting)

    def test_stopped(self):
        self.work()
        self.rounds.stop()
        self.rounds.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

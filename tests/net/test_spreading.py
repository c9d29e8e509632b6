"""Many things that end at one time end a few in each turn of the reactor."""

from twisted.trial.unittest import SynchronousTestCase

from tests.net.test_message_scheduling import Turns
from tunnelcloud.net.spreading import STEPS_A_TURN, Spreading


class SpreadingTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Turns()
        self.spreading = Spreading(self.clock)
        self.done = []

    def work(self, name, count):
        """Do so many steps."""
        left = count

        def step():
            nonlocal left
            left -= 1
            self.done.append(name)
            return left > 0

        self.spreading.run(step)

    def test_little_is_done_at_once(self):
        for name in ("a", "b"):
            self.work(name, 3)
        self.assertEqual(self.done, ["a"] * 3 + ["b"] * 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_so_many_a_turn_whosever_they_are(self):
        for number in range(10):
            self.work(number, 100)
        before = 0
        while self.clock.getDelayedCalls():
            self.assertLessEqual(len(self.done) - before, STEPS_A_TURN)
            before = len(self.done)
            self.clock.advance(1)
        self.assertEqual([self.done.count(number) for number in range(10)], [100] * 10)
        # By turns: when the last was first served, the first had had a few.
        self.assertLess(self.done[STEPS_A_TURN:].index(9), 2 * STEPS_A_TURN)

    def test_one_that_fails_holds_up_no_other(self):
        left = [3]

        def step():
            left[0] -= 1
            if left[0] == 1:
                raise RuntimeError("one of several")
            return left[0] > 0

        self.spreading.run(step)
        self.work("other", 1)
        self.assertEqual((left, self.done), ([0], ["other"]))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_what_a_step_causes_waits_behind_it(self):
        def step():
            self.work("caused", 1)
            self.done.append("cause")
            return False

        self.spreading.run(step)
        self.assertEqual(self.done, ["cause", "caused"])

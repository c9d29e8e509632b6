"""The time by which a pod decides: the database's, whatever its own machine's clock shows."""

from datetime import timedelta

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW
from tests.logs import logged
from tunnelcloud.pod.database_clock import LATE_SECONDS, DatabaseClock


class DatabaseClockTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.own = NOW - timedelta(hours=1)
        self.time = DatabaseClock(self.clock, lambda: self.own)

    def ask(self, now, took=0.0):
        answered = self.time.asked()
        self.clock.advance(took)
        return logged(lambda: answered(now))

    def test_until_it_is_told_it_goes_by_the_machine(self):
        self.assertEqual(self.time.now(), self.own)

    def test_goes_on_between_two_answers_whatever_the_machine_shows(self):
        self.ask(NOW)
        self.own += timedelta(days=1)
        self.clock.advance(4.5)
        self.assertEqual(self.time.now(), NOW + timedelta(seconds=4.5))
        self.ask(NOW + timedelta(hours=2))
        self.assertEqual(self.time.now(), NOW + timedelta(hours=2))

    def test_is_never_behind_for_an_answer_that_took_long(self):
        self.ask(NOW, took=1.5)
        self.assertEqual(self.time.now(), NOW + timedelta(seconds=1.5))
        self.ask(NOW + timedelta(hours=1), took=LATE_SECONDS + 1)
        self.assertLess(self.time.now(), NOW + timedelta(minutes=1))

    def test_the_first_answer_counts_however_long_it_took(self):
        self.ask(NOW, took=LATE_SECONDS + 1)
        self.assertGreaterEqual(self.time.now(), NOW)

    def test_a_machine_whose_clock_is_another_is_told_of_once(self):
        said = [self.ask(NOW), self.ask(NOW)]
        self.assertIn("this machine's clock is 3600 s behind the database's", said[0])
        self.assertNotIn("clock", said[1])
        self.own = NOW + timedelta(seconds=1)
        self.assertNotIn("clock", self.ask(NOW))
        self.own += timedelta(minutes=1)
        self.assertIn("61 s ahead of the database's", self.ask(NOW))

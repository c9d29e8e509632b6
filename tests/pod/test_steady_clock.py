"""A clock that jumps: nothing is deleted for an age that it doesn't have."""

from datetime import UTC, datetime, timedelta

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.logs import logged
from tunnelcloud.pod.steady_clock import FIRST_SECONDS, PAUSE_SECONDS, SteadyClock

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
YEAR = timedelta(days=365)


class SteadyClockTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.ahead = timedelta(0)
        self.steady = SteadyClock(self.clock)

    def later(self, seconds):
        self.clock.advance(seconds)
        now = START + timedelta(seconds=self.clock.seconds()) + self.ahead
        return self.steady.is_steady(now)

    def test_it_is_watched_for_an_hour_first(self):
        self.assertFalse(self.later(0))
        self.assertFalse(self.later(FIRST_SECONDS - 1))
        self.assertTrue(self.later(1))
        self.assertTrue(self.later(10 * PAUSE_SECONDS))

    def test_a_jump_makes_a_day_of_pause(self):
        self.later(FIRST_SECONDS)
        self.ahead = YEAR
        said = logged(lambda: self.assertFalse(self.later(300)))
        self.assertIn("went forward by 525600 minutes at once", said)
        self.assertFalse(self.later(PAUSE_SECONDS - 1))
        self.assertTrue(self.later(1))

    def test_a_clock_that_is_set_right_again(self):
        self.later(FIRST_SECONDS)
        self.ahead = YEAR
        self.assertFalse(self.later(300))
        self.ahead = timedelta(0)
        self.assertTrue(self.later(300))

    def test_a_machine_that_starts_with_a_wrong_clock(self):
        self.ahead = YEAR
        self.assertFalse(self.later(0))
        self.ahead = timedelta(0)
        self.assertFalse(self.later(300))
        self.assertTrue(self.later(FIRST_SECONDS))

    def test_a_summer_s_hour_or_a_short_sleep(self):
        self.later(FIRST_SECONDS)
        self.ahead = timedelta(minutes=59)
        self.assertTrue(self.later(300))

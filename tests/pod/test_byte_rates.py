"""A rate is the average of the last few seconds, known to whoever asks first."""

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pod.byte_rates import SAMPLE_SECONDS, Counts, Rates


class RateTests(SynchronousTestCase):
    def setUp(self):
        self.clock, self.now = Clock(), {}
        self.rates = Rates(self.clock, lambda: succeed(Counts(of_channels=dict(self.now))))

    def pass_by(self, **counts):
        """Let a look's time pass in which bytes flow."""
        self.clock.advance(SAMPLE_SECONDS)
        self.now |= counts
        self.rates.sample()

    def of(self, one):
        return self.rates.of(one, self.now[one])

    def test_before_the_first_look(self):
        self.assertEqual(self.rates.of("a", (5, 5)), (0.0, 0.0))

    def test_the_average_since_the_look_before_the_last(self):
        self.pass_by(a=(0, 0))
        self.pass_by(a=(300, 0))
        self.clock.advance(SAMPLE_SECONDS)
        self.now["a"] = (600, 60)
        self.assertEqual(self.of("a"), (100.0, 10.0))

    def test_what_stops_is_still_soon(self):
        self.pass_by(a=(0, 0))
        for _ in range(3):
            self.pass_by(a=(900, 900))
        self.assertEqual(self.of("a"), (0.0, 0.0))

    def test_what_is_new_began_with_nothing(self):
        self.pass_by()
        self.pass_by(a=(600, 1200))
        self.assertEqual(self.of("a"), (200.0, 400.0))

    def test_asked_at_once_after_a_look_it_is_no_mountain(self):
        self.rates.sample()
        self.now["a"] = (100, 0)
        self.assertEqual(self.of("a"), (200.0, 0.0))

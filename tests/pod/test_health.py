"""Ready is what the last minute proved."""

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pod.health import PROBE_SECONDS, PROVEN_SECONDS, Health
from tunnelcloud.store.errors import StoreUnavailable, Trouble


class HealthTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.silence = 0.0
        self.health = Health(self.clock, lambda: self.silence, 5.0)

    def test_a_heartbeat_proves_something_for_a_minute(self):
        self.health.beaten(probed=True)
        self.clock.advance(PROVEN_SECONDS)
        self.assertIsNone(self.health.why_not_writing())
        self.clock.advance(1)
        self.assertIn("no heartbeat was written for 61 s", self.health.why_not_writing())
        self.health.beaten(probed=False)
        self.assertIsNone(self.health.why_not_writing())

    def test_a_heartbeat_that_is_not_written(self):
        failure = Failure(StoreUnavailable("10.0.0.3 is read-only", Trouble.READ_ONLY))
        self.assertIs(self.health.missed(failure), failure)
        self.assertEqual(self.health.why_not_writing(), Trouble.READ_ONLY)

    def test_strangers_read_nothing_that_a_database_said(self):
        said = 'connection to server at "10.0.0.3" failed: no password for user "tunnels"'
        for failed in (
            lambda: self.health.missed(Failure(StoreUnavailable(said, Trouble.GONE))),
            lambda: self.health.missed(Failure(OSError(said))),
            lambda: self.health.write_failed(StoreUnavailable(said, Trouble.GONE)),
        ):
            failed()
            self.assertIn("the database can't be", self.health.why_not_writing())
            self.assertNotIn("10.0.0.3", self.health.why_not_writing())
            self.assertNotIn("tunnels", self.health.why_not_writing())

    def test_after_a_write_that_failed_only_a_big_heartbeat_proves_something(self):
        self.health.beaten(probed=True)
        self.assertFalse(self.health.probe_due())
        self.health.write_failed(StoreUnavailable("full", Trouble.FULL))
        self.assertTrue(self.health.probe_due())
        self.health.beaten(probed=False)
        self.assertEqual(self.health.why_not_writing(), Trouble.FULL)
        self.health.beaten(probed=True)
        self.assertIsNone(self.health.why_not_writing())

    def test_a_write_that_took_long_proves_nothing(self):
        self.health.write_failed(StoreUnavailable("slow", Trouble.SLOW))
        self.assertIsNone(self.health.why_not_writing())

    def test_a_big_heartbeat_comes_now_and_then(self):
        self.assertTrue(self.health.probe_due())
        self.health.beaten(probed=True)
        self.clock.advance(PROBE_SECONDS)
        self.assertTrue(self.health.probe_due())

    def test_what_is_not_heard(self):
        self.assertIsNone(self.health.why_not_hearing())
        self.silence = 7.4
        self.assertIn("haven't been heard for 7 s", self.health.why_not_hearing())

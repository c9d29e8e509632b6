from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.dial_failures import DialFailure, failure_text


class DialFailureTests(SynchronousTestCase):
    def test_a_connector_has_no_words_of_its_own(self):
        for failure in DialFailure:
            self.assertIs(DialFailure.read(failure.value), failure)
        self.assertIs(DialFailure.read("click here: http://evil"), DialFailure.FAILED)

    def test_words_for_the_user(self):
        self.assertEqual(
            failure_text(DialFailure.REFUSED, "10.0.0.5", 5432, "paris"),
            "connect to 10.0.0.5:5432: refused",
        )
        self.assertEqual(
            failure_text(DialFailure.TIMED_OUT, "fd00::1", 22, "paris"),
            "connect to [fd00::1]:22: timed out",
        )
        self.assertEqual(
            failure_text(DialFailure.NO_CONNECTOR, "10.0.0.5", 5432, "paris"),
            "site paris: no connector is attached",
        )

    def test_every_failure_has_words_and_a_reason_code(self):
        for failure in DialFailure:
            self.assertTrue(failure_text(failure, "h", 1, "s"))
            self.assertIn(failure.reason_code, (1, 2, 4))

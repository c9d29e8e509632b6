from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.dialing import DialFailure, dial_failure_text, read_dial_failure


class DialFailureTests(SynchronousTestCase):
    def test_travels_as_its_code(self):
        for failure in DialFailure:
            self.assertIs(read_dial_failure(failure.code), failure)
        self.assertEqual(len({failure.code for failure in DialFailure}), len(DialFailure))

    def test_a_connector_has_no_words_of_its_own(self):
        self.assertIs(read_dial_failure("click here: http://evil"), DialFailure.FAILED)

    def test_words_for_the_user(self):
        self.assertEqual(
            dial_failure_text("10.0.0.5", 5432, DialFailure.REFUSED),
            "connect to 10.0.0.5:5432: refused",
        )
        self.assertEqual(
            dial_failure_text("fd00::1", 22, DialFailure.TIMED_OUT),
            "connect to [fd00::1]:22: timed out",
        )

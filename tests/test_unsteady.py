"""What may run twice in CI, and what never does."""

from twisted.trial.unittest import SynchronousTestCase

from tests.unsteady import MOST, may_run_again


def run(*names, result=None):
    """Give what trial prints of a run in which these tests failed."""
    told = "".join(
        f"[FAIL]\nTraceback\ntests.py: no name\n\n{name}\n{'=' * 79}\n" for name in names
    )
    result = result or f"failures={len(names)}, successes=3"
    end = f"{'-' * 79}\nRan 9 tests in 3s\n\nFAILED ({result})\n"
    return f"tests.browser.test_own ... [OK]\n{'=' * 79}\n{told[:-80]}{end}"


CLIENT = "tests.integration.test_ends.EndsTests.test_clients_end"
BROWSER = "tests.browser.test_sign_in.SignInTests.test_a_code"


class UnsteadyTests(SynchronousTestCase):
    def test_real_programs(self):
        self.assertEqual(may_run_again(run(CLIENT, BROWSER)), [BROWSER, CLIENT])

    def test_a_clean_up_that_fails_as_well(self):
        twice = run(CLIENT, CLIENT, result="errors=2, successes=3")
        self.assertEqual(may_run_again(twice), [CLIENT])

    def test_whatever_the_room(self):
        unit = "tests.ssh.test_message_gate.GateTests.test_it"
        self.assertEqual(may_run_again(run(CLIENT, unit)), [CLIENT, unit])

    def test_many_failures_stand(self):
        self.assertEqual(may_run_again(run(*(f"{CLIENT}_{n}" for n in range(MOST + 1)))), [])

    def test_what_has_no_name_stands(self):
        self.assertEqual(may_run_again(run(CLIENT, result="failures=1, errors=1, successes=3")), [])
        self.assertEqual(may_run_again("the environment could not be made\n"), [])

    def test_skips_stand(self):
        self.assertEqual(may_run_again(run(CLIENT, result="skips=1, failures=1")), [])

    def test_a_run_that_passed_has_none(self):
        self.assertEqual(may_run_again("PASSED (successes=3)\n"), [])

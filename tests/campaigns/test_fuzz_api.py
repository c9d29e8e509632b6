"""A short run of the API's campaign for each role: what it may call, a few examples of each."""

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns.fuzz_api import ALL_PHASES, run
from tests.requirements import require_module

EXAMPLES = int(os.environ.get("TUNNELCLOUD_TESTS_API_EXAMPLES", "2"))
PHASES = ALL_PHASES if EXAMPLES > 2 else "fuzzing"


class ApiCampaignTests(SynchronousTestCase):
    def try_as(self, role: str, phases: str = PHASES) -> None:
        require_module("schemathesis")
        report = run(role, EXAMPLES, seed=1, own=True, phases=phases)
        self.assertGreater(report.cases, EXAMPLES * 10)

    def test_as_an_administrator(self) -> None:
        self.try_as("admin")

    def test_as_an_auditor(self) -> None:
        # The other phases would do what they did as an administrator.
        self.try_as("auditor", "fuzzing")

    def test_as_a_user(self) -> None:
        self.try_as("user")

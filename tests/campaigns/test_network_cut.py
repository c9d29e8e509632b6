"""The network cut, with a pod that finds it in nine seconds instead of 45."""

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns.processes import run_campaign
from tests.requirements import require_executable, require_root


class NetworkCutTests(SynchronousTestCase):
    def test_a_cut_is_found_and_the_other_connector_serves(self):
        require_executable("ip")
        require_root()
        self.assertIn('"found": ', run_campaign("network_cut", "--longest-silence", 9))

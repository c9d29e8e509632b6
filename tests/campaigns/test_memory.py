"""A pod whose channels are stuffed full: the short form."""

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns.processes import run_campaign


class MemoryTests(SynchronousTestCase):
    def test_200_channels_that_nobody_reads_and_new_keys_that_never_come(self):
        """The campaign itself fails when the pod holds too much."""
        words = ("--steady-seconds", 1, "--rekey-seconds", 3)
        printed = run_campaign("memory", "--state", "rekey-one", *words)
        self.assertEqual(printed.count("pod_mib_at_most"), 1)

"""A pod that can't hear of revocations keeps nobody for ever."""

from twisted.trial.unittest import SynchronousTestCase

from tests.logs import logged
from tunnelcloud.pod.change_feed_outage import BlindLimit


class BlindLimitTests(SynchronousTestCase):
    def ended(self, silence, longest=900):
        ended = []
        limit = BlindLimit(lambda: silence, longest, ended.append)
        logged(limit.check)
        return ended

    def test_after_so_long_all_ends(self):
        self.assertEqual(self.ended(899), [])
        self.assertEqual(
            self.ended(900), ["this pod has heard of no revocations for 900 s; connect again"]
        )

    def test_never(self):
        self.assertEqual(self.ended(10**6, longest=0), [])

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import view
from tunnelcloud.pod.views import Views, ViewsOutdated


class ViewsTests(SynchronousTestCase):
    def setUp(self):
        self.loads = []
        self.current = True
        self.views = Views(self.load, lambda: self.current)

    def load(self, user_id):
        self.loads.append(Deferred())
        return self.loads[-1]

    def test_loaded_once(self):
        first, second = self.views.get("usr_1"), self.views.get("usr_1")
        self.assertEqual(len(self.loads), 1)
        self.loads[0].callback(view())
        self.assertEqual(self.successResultOf(first), self.successResultOf(second))
        self.successResultOf(self.views.get("usr_1"))
        self.assertEqual(len(self.loads), 1)

    def test_a_change_during_the_load_is_not_missed(self):
        answer = self.views.get("usr_1")
        self.views.drop("usr_1")
        self.loads[0].callback(view())
        self.assertNoResult(answer)
        newer = view(blocked=True)
        self.loads[1].callback(newer)
        self.assertEqual(self.successResultOf(answer), newer)

    def test_a_failure_is_told_and_not_kept(self):
        answer = self.views.get("usr_1")
        self.loads[0].errback(ZeroDivisionError())
        self.failureResultOf(answer, ZeroDivisionError)
        self.views.get("usr_1")
        self.assertEqual(len(self.loads), 2)

    def test_nothing_is_decided_while_changes_are_not_heard(self):
        self.current = False
        self.failureResultOf(self.views.get("usr_1"), ViewsOutdated)

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import grant, tunnel, view
from tunnelcloud.domain.entities import UserView
from tunnelcloud.pod.user_views import AT_ONCE, LOADS, Views, ViewsOutdated

ALICE = "usr_alice"


class ViewsTests(SynchronousTestCase):
    def setUp(self):
        self.asked = []
        self.loads = []
        self.current = True
        self.views = Views(self.load, lambda: self.current)

    def load(self, user_ids):
        self.asked.append(list(user_ids))
        self.loads.append(Deferred())
        return self.loads[-1]

    def hold(self, one=None):
        """Have alice's view in memory."""
        one = one or view(grant(tunnel("db")))
        answer = self.views.get(ALICE)
        self.loads[-1].callback({ALICE: one})
        self.assertIs(self.successResultOf(answer), one)
        return one

    def test_loaded_once(self):
        first, second = self.views.get(ALICE), self.views.get(ALICE)
        self.assertEqual(len(self.loads), 1)
        self.loads[0].callback({ALICE: view()})
        self.assertEqual(self.successResultOf(first), self.successResultOf(second))
        self.successResultOf(self.views.get(ALICE))
        self.assertEqual(len(self.loads), 1)

    def test_a_change_during_the_load_is_not_missed(self):
        for change in (
            lambda: self.views.changed([ALICE], True),
            lambda: self.views.changed(["tun_db"], True),
            self.views.drop_all,
        ):
            answer = self.views.get(ALICE)
            change()
            self.loads[-1].callback({ALICE: view(grant(tunnel("db")))})
            self.assertNoResult(answer)
            newer = view(blocked=True)
            self.loads[-1].callback({ALICE: newer})
            self.assertEqual(self.successResultOf(answer), newer)
            self.views.drop_all()

    def test_changes_of_others_spoil_nothing(self):
        answer = self.views.get(ALICE)
        self.views.changed(["usr_bob", "tun_other"], True)
        self.loads[0].callback({ALICE: view(grant(tunnel("db")))})
        self.successResultOf(answer)
        self.views.changed(["usr_bob", "tun_other"], True)
        self.successResultOf(self.views.get(ALICE))
        self.assertEqual(len(self.loads), 1)

    def test_changes_never_make_a_queue_of_loads(self):
        answers = []
        for _ in range(20):
            answers.append(self.views.get(ALICE))
            self.views.changed([ALICE], True)
        self.assertEqual(len(self.loads), 1)
        self.loads[0].callback({ALICE: view()})
        self.assertEqual(len(self.loads), 2)
        self.loads[1].callback({ALICE: view()})
        for answer in answers:
            self.successResultOf(answer)
        self.assertEqual(len(self.loads), 2)

    def test_many_users_are_loaded_together(self):
        answers = [self.views.get(f"usr_{number}") for number in range(4 * AT_ONCE)]
        self.assertEqual([len(one) for one in self.asked], [1] * LOADS)
        while any(not load.called for load in self.loads):
            number = next(n for n, load in enumerate(self.loads) if not load.called)
            alice = view().user
            self.loads[number].callback(
                {
                    user_id: UserView(alice.__class__(user_id, user_id, "", alice.created_at))
                    for user_id in self.asked[number]
                }
            )
        for answer in answers:
            self.successResultOf(answer)
        self.assertLessEqual(len(self.asked), 4 + 1 + LOADS)

    def test_what_is_only_shown_is_read_again_when_it_is_to_be_shown(self):
        old = self.hold()
        self.views.changed(["tun_db"], False)
        self.assertIs(self.successResultOf(self.views.get(ALICE)), old)
        self.assertEqual(len(self.loads), 1)
        answer = self.views.shown(ALICE)
        newer = view(grant(tunnel("db", description="new")))
        self.loads[1].callback({ALICE: newer})
        self.assertIs(self.successResultOf(answer), newer)
        self.assertIs(self.successResultOf(self.views.shown(ALICE)), newer)
        self.assertEqual(len(self.loads), 2)

    def test_a_user_who_is_gone(self):
        answer = self.views.get(ALICE)
        self.loads[0].callback({})
        self.failureResultOf(answer, LookupError)

    def test_a_failure_is_told_and_not_kept(self):
        answer = self.views.get(ALICE)
        self.loads[0].errback(ZeroDivisionError())
        self.failureResultOf(answer, ZeroDivisionError)
        self.views.get(ALICE)
        self.assertEqual(len(self.loads), 2)

    def test_nothing_is_decided_while_changes_are_not_heard(self):
        self.hold()
        self.current = False
        self.failureResultOf(self.views.get(ALICE), ViewsOutdated)
        self.failureResultOf(self.views.shown(ALICE), ViewsOutdated)

"""What is said at a login: that a connection will wait for an approval."""

from datetime import timedelta

from attrs import evolve
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, approval, grant, policy, tunnel, view
from tests.pod.fakes import World
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.pod.live_session import _NOTICE_SECONDS
from tunnelcloud.pod.login_notice import login_notice
from tunnelcloud.store.errors import StoreUnavailable

PAGE = "https://portal.example.com/requests"


class NoticeTests(SynchronousTestCase):
    def said(self, *policies, **more):
        self.world = World(evolve(view(grant(tunnel(), policies=policies)), **more))
        self.successResultOf(self.world.live.prepared())
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
        return self.world.live.notice

    def test_others_approve_it(self):
        text = f"db: a connection waits until it is approved at {PAGE}"
        self.assertEqual(self.said(policy(approval=Approval.OTHERS)), text)

    def test_oneself_confirms_it(self):
        text = f"db: a connection waits until you confirm it at {PAGE}"
        self.assertEqual(self.said(policy(approval=Approval.SELF)), text)

    def test_several(self):
        asked = policy(approval=Approval.OTHERS)
        tunnels = tunnel("web", "10.0.0.2"), tunnel(), tunnel("mail", "10.0.0.3")
        self.world = World(view(*(grant(one, policies=(asked,)) for one in tunnels)))
        self.successResultOf(self.world.live.prepared())
        text = f"db and others: a connection waits until it is approved at {PAGE}"
        self.assertEqual(self.world.live.notice, text)

    def test_nothing_waits(self):
        asked = policy(approval=Approval.OTHERS)
        self.assertEqual(self.said(), "")
        self.assertEqual(self.said(policy(max_channels=5)), "")
        over = policy(valid_until=NOW - timedelta(1))
        self.assertEqual(self.said(asked, over), "", "an approval would not open it")
        self.assertEqual(self.said(asked, approved=(approval(asked, tunnel()),)), "")

    def test_a_login_goes_on_without_the_store(self):
        self.said()
        self.world.views.get = lambda user_id: fail(StoreUnavailable("the disk is full"))
        self.successResultOf(self.world.live.prepared())
        self.world.views.get = lambda user_id: Deferred()
        prepared = self.world.live.prepared()
        self.world.clock.advance(_NOTICE_SECONDS)
        self.successResultOf(prepared)
        self.assertEqual(self.world.live.notice, "")

    def test_thousands_of_tunnels_cost_no_more_than_some(self):
        asked = policy(approval=Approval.OTHERS)
        looked = []
        for count in (1000, 2000):
            grants = [grant(tunnel(f"db{one}"), policies=(asked,)) for one in range(count)]
            decided = World(view()).live.decide(view(), "nowhere", 1)
            del looked[:]

            def decide(one, port, decided=decided):
                looked.append(one)
                return decided

            self.assertEqual(login_notice(grants, decide, PAGE), "")
            self.assertLess(len(looked), 50)

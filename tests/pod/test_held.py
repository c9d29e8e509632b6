"""Channels that wait for an approval: one request, and every way in which it ends."""

from datetime import timedelta

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, approval, grant, policy, tunnel, view
from tests.pod.fakes import World
from tunnelcloud.domain.objects import Approval
from tunnelcloud.pod.held import _STDIO_ORIGINATOR
from tunnelcloud.store.transaction import Change, Resync


class HeldCase(SynchronousTestCase):
    approval = Approval.OTHERS

    def setUp(self):
        self.policy = policy(approval=self.approval, approvers_id="grp_bosses", max_channels=20)
        self.db = tunnel()
        self.world = World(view(grant(self.db, policies=(self.policy,))), "con_1")

    def approve(self, **others):
        """Give the user a grant, as the store and the change feed would."""
        given = approval(self.policy, self.db, **others)
        self.world.views.view = evolve(self.world.views.view, approved=(given,))
        self.world.live.recheck(self.world.views.view)
        self.world.settle()

    def refuse(self, answer=""):
        self.world.approvals.refuse("req_1", answer)
        self.world.held.changed(Change("request", "req_1"))
        self.world.settle()


class OthersTests(HeldCase):
    def test_neither_confirmed_nor_refused_nor_dialled(self):
        client = self.world.open()
        self.assertEqual((client.is_open, client.failure), (False, None))
        self.assertEqual(self.world.links.links[0].asked, [])
        self.assertEqual(self.world.records.told, [])
        self.assertEqual(len(self.world.held), 1)

    def test_approved_it_opens_like_any_other(self):
        client = self.world.open()
        self.approve()
        self.world.links.links[0].answer()
        self.world.settle()
        self.assertTrue(client.is_open)
        self.assertEqual(len(self.world.held), 0)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_ten_at_once_are_one_request(self):
        clients = [self.world.open() for _ in range(10)]
        self.assertEqual(len(self.world.approvals.asked), 1)
        self.approve()
        self.assertEqual(len(self.world.links.links[0].asked), len(clients))

    def test_while_the_grant_lasts_nobody_is_asked(self):
        self.approve()
        self.world.open()
        self.assertEqual(self.world.approvals.asked, [])
        self.assertEqual(len(self.world.links.links[0].asked), 1)

    def test_refused_with_words(self):
        client = self.world.open()
        self.refuse("not on a Friday")
        self.assertEqual(client.failure[1], "db: refused by bob: not on a Friday")
        self.assertEqual(
            self.world.records.told,
            [("refused", "db", 5432, "db: refused by bob: not on a Friday")],
        )

    def test_an_answer_moves_no_cursor(self):
        """An approver may type what a terminal obeys; not every client shows it as text."""
        client = self.world.open()
        self.refuse("no\r\n\x1b[2J\u202eyes")
        said = "no\\r\\n\\x1b[2J\\u202eyes"
        self.assertEqual(client.failure[1], f"db: refused by bob: {said}")

    def test_the_reason_for_a_stdio_forward_ends_its_session(self):
        client = self.world.open(originator=_STDIO_ORIGINATOR)
        self.refuse()
        self.assertIsNone(client.failure)
        self.assertEqual(self.world.connection.ended, ["db: refused by bob"])

    def test_unanswered(self):
        client = self.world.open()
        self.world.clock.advance(self.policy.approval_wait_seconds)
        self.world.settle()
        text = client.failure[1]
        self.assertIn("nobody has approved it for 60 s", text)
        self.assertIn("https://portal.example.com/requests/req_1", text)
        self.assertEqual(len(self.world.held), 0)

    def test_unanswered_where_users_may_let_themselves_in(self):
        self.policy = evolve(self.policy, emergency_seconds=600)
        self.world.views.view = view(grant(self.db, policies=(self.policy,)))
        client = self.world.open()
        self.world.clock.advance(self.policy.approval_wait_seconds)
        self.world.settle()
        self.assertIn("in an emergency, open it yourself there", client.failure[1])

    def test_streams_go_on_across_a_renewal(self):
        client = self.world.open()
        self.approve(ends_at=NOW + timedelta(seconds=90))
        self.world.links.links[0].answer()
        self.world.settle()
        self.approve(ends_at=NOW + timedelta(seconds=900), renewed_at=NOW)
        [route] = self.world.live.routes
        self.world.clock.advance(90)
        self.world.live.recheck_route(self.world.views.view, route)
        self.world.settle()
        self.assertTrue(client.is_open)
        self.assertFalse(route.over)
        self.world.clock.advance(900)
        self.world.live.recheck_route(self.world.views.view, route)
        self.world.settle()
        self.assertFalse(self.world.live.routes, "and it ends as the renewal says")

    def test_it_ends_with_its_client(self):
        self.world.open()
        self.world.client.lose("gone")
        self.assertEqual(len(self.world.held), 0)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_it_ends_with_its_session(self):
        self.world.open()
        self.world.live.logged_out("the client left")
        self.assertEqual(len(self.world.held), 0)

    def test_an_approval_after_the_client_left_serves_the_next_attempt(self):
        self.world.open()
        self.world.client.lose("gave up after 10 s")
        self.approve()
        self.assertEqual(self.world.links.links[0].asked, [])

    def test_it_counts_against_the_policys_limit(self):
        for _ in range(20):
            self.world.open()
        client = self.world.open()
        self.assertIn("20 of 20 connections are open", client.failure[1])

    def test_a_refusal_that_was_missed_is_found_at_the_resync(self):
        client = self.world.open()
        self.world.approvals.refuse("req_1")
        self.world.held.changed(Resync())
        self.world.settle()
        self.assertIn("refused by bob", client.failure[1])

    def test_a_grant_that_ends_cuts_what_it_allowed(self):
        client = self.world.open()
        self.approve()
        self.world.links.links[0].answer()
        self.world.settle()
        self.assertTrue(client.is_open)
        self.world.views.view = evolve(self.world.views.view, approved=())
        self.world.live.recheck(self.world.views.view)
        self.world.settle()
        self.assertEqual(
            self.world.records.told[-1][3], "db: needs an approval, and there is none now"
        )

    def test_the_clock_ends_it_too(self):
        self.world.open()
        self.approve(ends_at=NOW + timedelta(seconds=90))
        self.world.links.links[0].answer()
        self.world.settle()
        [route] = self.world.live.routes
        self.assertLessEqual(route.due, 60)
        self.world.clock.advance(90)
        self.world.live.recheck_route(self.world.views.view, route)
        self.world.settle()
        self.assertFalse(self.world.live.routes)

    def test_a_policy_that_wants_no_approval_any_more(self):
        client = self.world.open()
        free = evolve(self.policy, approval=Approval.NONE)
        self.world.views.view = view(grant(self.db, policies=(free,)))
        self.world.live.recheck(self.world.views.view)
        self.world.links.links[0].answer()
        self.world.settle()
        self.assertTrue(client.is_open)

    def test_an_assignment_that_is_taken_away(self):
        client = self.world.open()
        self.world.views.view = view()
        self.world.live.recheck(self.world.views.view)
        self.world.settle()
        self.assertIn("no tunnel of yours", client.failure[1])


class SelfTests(HeldCase):
    approval = Approval.SELF

    def test_confirmed_from_this_address(self):
        self.world.open()
        self.approve(source_ip="192.0.2.7")
        self.assertEqual(len(self.world.links.links[0].asked), 1)

    def test_confirmed_for_another_address(self):
        self.world.open()
        self.approve(source_ip="198.51.100.1")
        self.assertEqual(self.world.links.links[0].asked, [])

    def test_the_end_of_a_confirmation_ends_no_stream(self):
        client = self.world.open()
        self.approve(source_ip="192.0.2.7")
        self.world.links.links[0].answer()
        self.world.views.view = evolve(self.world.views.view, approved=())
        self.world.live.recheck(self.world.views.view)
        self.world.settle()
        self.assertTrue(client.is_open)

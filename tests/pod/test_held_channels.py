"""Channels that wait for an approval: one request, and every way in which it ends."""

from datetime import timedelta

from attrs import evolve
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, approval, grant, policy, tunnel, view
from tests.pod.fakes import World
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.pod import held_channels as held_module
from tunnelcloud.pod.held_channels import _STDIO_ORIGINATOR, HeldChannels
from tunnelcloud.pod.live_sessions import POD_HOLDS_TOO_MANY
from tunnelcloud.pod.user_shares import HELD, Shares
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

    def test_an_approval_opens_no_channel_that_a_client_gave_up_when_the_pod_did(self):
        self.policy = evolve(self.policy, approval_wait_seconds=10)
        self.world.views.view = view(grant(self.db, policies=(self.policy,)))
        self.world.open()
        self.world.clock.advance(10)
        self.world.settle()
        self.approve()
        self.assertEqual(self.world.links.links[0].asked, [])
        self.world.open()
        self.assertEqual(len(self.world.links.links[0].asked), 1)

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


class LineTests(SynchronousTestCase):
    """What ``ssh POD`` says of the channels that a user has waiting."""

    def test_a_line_for_each_request(self):
        asked, oneself = (
            policy(approval=Approval.OTHERS),
            policy(approval=Approval.SELF),
        )
        web = tunnel("web", "10.0.0.2")
        one, other = grant(tunnel(), policies=(asked,)), grant(web, policies=(oneself,))
        world = World(view(one, other))
        self.assertEqual(world.live.information.waiting(), ())
        for host in ("db", "db", "web"):
            world.open(host)
        page = "https://portal.example.com/requests"
        lines = [
            f"db: a connection waits until it is approved at {page}/req_1",
            f"web: a connection waits until you confirm it at {page}/req_2",
        ]
        self.assertEqual(world.live.information.waiting(), tuple(lines))
        self.assertEqual(world.held.lines("usr_bob", None), ())
        self.assertEqual(world.held.lines("usr_alice", web.id), tuple(lines[1:]))
        world.client.lose("gone")
        self.assertEqual(world.live.information.waiting(), ())
        self.assertEqual(world.held._of_user, {})


class PoolTests(SynchronousTestCase):
    """A channel that waits is neither open nor being made: there is a pool for those that wait."""

    def world(self, policies=None, **shares):
        self.policy = policy(approval=Approval.OTHERS, approvers_id="grp_bosses")
        grants = grant(tunnel(), policies=policies or (self.policy,))
        world = World(view(grants), "con_1", shares=Shares(**shares))
        for pair in (world.client, world.links.links[0].pair):
            pair.a.max_channels = pair.b.max_channels = 5000
        return world

    def failures(self, world, count):
        return [world.open().failure for _ in range(count)]

    def test_what_waits_takes_no_share_of_what_is_open_or_being_made(self):
        world = self.world(channels=1, pending=1)
        self.assertEqual(self.failures(world, 5), [None] * 5)
        self.assertEqual((len(world.held), world.sessions.open_channels), (5, 0))
        self.successResultOf(world.sessions.drained(30))

    def test_a_users_share(self):
        world = self.world(held=2)
        self.assertEqual(self.failures(world, 2), [None] * 2)
        code, text = world.open().failure
        self.assertEqual(code, 4)
        self.assertIn("2 of your connections wait for approvals", text)
        world.clock.advance(self.policy.approval_wait_seconds)
        world.settle()
        self.assertEqual(self.failures(world, 2), [None] * 2, "there is room again")

    def test_no_more_wait_for_a_tunnel_than_one_approval_may_open(self):
        world = self.world(per_target=3)
        self.assertEqual(self.failures(world, 3), [None] * 3)
        self.assertIn("db: you have 3 connections", world.open().failure[1])
        world.views.view = evolve(world.views.view, approved=(approval(self.policy, tunnel()),))
        world.live.recheck(world.views.view)
        world.settle()
        self.assertEqual(len(world.links.links[0].asked), 3)

    def test_the_pods_share(self):
        world = self.world(held=HELD)
        world.sessions._waiting.total = HELD
        self.assertEqual(world.open().failure, (4, POD_HOLDS_TOO_MANY))

    def test_ten_users_hold_ten_thousand(self):
        tally = self.world().sessions._waiting
        for number in range(10_000):
            user_id = f"usr_{number % 10}"
            self.assertTrue(tally.has_room(user_id))
            tally.add(user_id)


class CostTests(SynchronousTestCase):
    """What many that wait cost a pod: nothing, but for what concerns them."""

    def wait(self, requests, channels=1):
        """Give what looks up requests, and channels that wait for so many of them."""
        asked = policy(approval=Approval.OTHERS, approvers_id="grp_bosses")
        tunnels = [tunnel(f"db{number}", f"10.0.0.{number}") for number in range(requests)]
        self.world = World(view(*(grant(one, policies=(asked,)) for one in tunnels)))
        self.looked = []
        self.world.held._look = lambda ids: self.looked.append(len(ids)) or succeed([])
        for one in tunnels:
            for _ in range(channels):
                self.world.open(one.name)
        self.assertEqual(len(self.world.held), requests * channels)

    def test_others_changes_look_at_nothing(self):
        self.wait(3)
        self.patch(HeldChannels, "_look_at_some", self.fail)
        for kind in ("user", "tunnel", "grant", "session", "request"):
            self.world.held.changed(Change(kind, "of_others"))

    def test_ones_own_change_is_looked_up_alone(self):
        for requests in (3, 6):
            self.wait(requests)
            self.world.held.changed(Change("request", "req_2"))
            self.assertEqual(self.looked, [1])

    def test_where_changes_were_missed_so_many_are_looked_up_at_once(self):
        self.patch(held_module, "_LOOKED_AT_ONCE", 2)
        self.wait(5)
        self.world.held.changed(Resync())
        self.assertEqual(self.looked, [2, 2, 1])

    def test_what_is_over_is_not_looked_up(self):
        self.wait(2)
        self.world.client.lose("gone")
        self.world.held.changed(Resync())
        self.assertEqual(self.looked, [])

    def test_all_that_wait_for_the_same_are_decided_on_once(self):
        decisions = []
        for channels in (10, 20):
            self.wait(2, channels)
            live, decide = self.world.live, self.world.live.decide
            del decisions[:]
            live.decide = lambda *args, decide=decide, **how: (
                decisions.append(args) or decide(*args, **how)
            )
            live.recheck(self.world.views.view)
            self.assertEqual(len(decisions), 2)
            self.assertEqual(len(self.world.held), 2 * channels)

    def test_what_leads_to_another_tunnel_now_waits_for_that_one(self):
        self.wait(1)
        [held] = self.world.live.held
        asked = held.policy
        elsewhere = evolve(tunnel("db0", "10.0.0.9"), id="tun_new")
        self.world.views.view = view(grant(elsewhere, policies=(asked,)))
        self.world.live.recheck(self.world.views.view)
        [held] = self.world.live.held
        self.assertEqual(held.tunnel.id, "tun_new")
        self.assertEqual(len(self.world.approvals.asked), 2)

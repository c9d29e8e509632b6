"""Requests and grants in both databases: asked once, decided once, ended in time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.store.approving import ApprovalSteps
from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import events_of
from tunnelcloud.domain.approvals import REPEAT_SECONDS, REQUEST_SECONDS, RequestStatus
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.store import (
    approvals,
    assignments,
    groups,
    policies,
    timed_grants,
    user_views,
    users,
)
from tunnelcloud.store.errors import Conflict, NotFound


class ApprovalContract(ApprovalSteps):
    def test_what_waits_for_whom(self):
        alice, bob = self.world.alice, self.world.bob
        self.assertEqual(self.waits_for(bob), (0, True))
        self.ask()
        self.assertEqual((self.waits_for(alice), self.waits_for(bob)), ((0, False), (1, True)))
        # One's own, which nobody else confirms.
        self.ask(self.make_policy("self", Approval.SELF))
        self.assertEqual((self.waits_for(alice), self.waits_for(bob)), ((1, False), (1, True)))
        self.clock.advance(REQUEST_SECONDS)
        self.assertEqual((self.waits_for(alice), self.waits_for(bob)), ((0, False), (0, True)))

    def test_the_same_is_asked_once(self):
        first = self.ask(reason="an outage", client="OpenSSH_9.2", session_id="ses_1")
        self.assertIs(first.status, RequestStatus.PENDING)
        self.assertEqual((first.user_name, first.tunnel_name), ("alice", "db"))
        self.clock.advance(60)
        again = self.ask(source_ip="198.51.100.1")
        self.assertEqual(again.id, first.id)
        self.assertGreater(again.expires_at, first.expires_at)
        self.assertEqual(self.store.read(events_of).count("request.created"), 1)

    def test_a_user_has_so_many_at_most(self):
        self.patch(approvals, "MOST_REQUESTS", 2)
        confirm = self.make_policy("confirm", Approval.SELF)
        for number in (1, 2):
            self.ask(confirm, f"192.0.2.{number}")
        error = self.assertRaises(Conflict, self.ask, confirm, "192.0.2.3")
        self.assertIn("has 2 requests that wait: have them decided", str(error))
        self.ask(confirm, "192.0.2.1")

    def test_a_flood_by_one_user_is_one_row(self):
        with ThreadPoolExecutor(8) as pool:
            found = {one.id for one in pool.map(lambda _: self.ask(), range(40))}
        self.assertEqual(len(found), 1)

    def test_confirmations_are_apart_by_address(self):
        policy = self.make_policy("confirm", Approval.SELF)
        ids = {self.ask(policy, source).id for source in ("192.0.2.1", "192.0.2.2", "192.0.2.1")}
        self.assertEqual(len(ids), 2)

    def test_an_approval_is_a_grant_for_its_time(self):
        request = self.ask(seconds=300)
        grant = self.store.write(approvals.approve, request.id, self.world.bob, answer="yes")
        self.assertEqual((grant.ends_at - grant.starts_at).total_seconds(), 300)
        self.assertEqual((grant.allowed_by, grant.source_ip), ("bob", None))
        decided = self.store.read(approvals.get, request.id)
        self.assertEqual((decided.status, decided.answer), (RequestStatus.APPROVED, "yes"))
        self.assertEqual(self.store.read(events_of)[-1], "request.approved")

    def test_no_longer_than_the_policy_says(self):
        self.assertEqual(self.ask(seconds=86_400).seconds, self.policy.approval_seconds)

    def test_a_confirmation_is_for_its_address(self):
        policy = self.make_policy("confirm", Approval.SELF)
        grant = self.store.write(approvals.approve, self.ask(policy).id, self.world.alice)
        self.assertEqual(grant.source_ip, "192.0.2.1")

    def test_an_approver_who_is_the_same_person_elsewhere_is_shown(self):
        self.make_one_person_of_two()
        self.approved()
        self.assert_shown_as_same("request.approved")

    def test_the_pod_that_held_the_channel_may_be_gone(self):
        """What another pod reads is all in the store."""
        self.store.write(
            assignments.update, self.world.assignment.id, {"policy_id": self.policy.id}
        )
        request = self.ask(session_id="ses_of_a_pod_that_died")
        self.store.write(approvals.approve, request.id, self.world.bob)
        view = self.store.read(user_views.load_view, self.world.alice.id)
        self.assertEqual([one.request_id for one in view.approved], [request.id])

    def test_a_clock_that_jumps(self):
        request = self.ask()
        self.clock.advance(-3600)
        self.assertIs(self.store.read(approvals.get, request.id).status, RequestStatus.PENDING)
        grant = self.store.write(approvals.approve, request.id, self.world.bob)
        self.assertEqual((grant.ends_at - grant.starts_at).total_seconds(), 600)
        self.clock.advance(7200)
        self.assertEqual(self.store.read(timed_grants.list_page, live=True).items, ())
        error = self.assertRaises(
            Conflict, self.store.write, approvals.refuse, request.id, self.world.bob
        )
        self.assertIn("bob has approved this request already", str(error))

    def test_of_two_approvers_at_once_one_wins_and_the_other_is_told(self):
        request = self.ask()

        def decide(number):
            try:
                verb = approvals.approve if number % 2 else approvals.refuse
                self.store.write(verb, request.id, self.world.bob)
            except Conflict as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(decide, range(8)))
        self.assertEqual(told.count(""), 1)
        self.assertIn("this request already", max(told))

    def test_a_refusal_of_a_moment_ago_is_given_again(self):
        request = self.ask()
        self.store.write(approvals.refuse, request.id, self.world.bob)
        self.assertEqual(self.ask().id, request.id)
        self.clock.advance(REPEAT_SECONDS + 1)
        self.assertNotEqual(self.ask().id, request.id)

    def test_what_nobody_answers_expires(self):
        request = self.ask()
        self.clock.advance(REQUEST_SECONDS)
        error = self.assertRaises(
            Conflict, self.store.write, approvals.approve, request.id, self.world.bob
        )
        self.assertIn("expired", str(error))
        self.assertNotEqual(self.ask().id, request.id)
        self.assertIs(self.store.read(approvals.get, request.id).status, RequestStatus.EXPIRED)

    def test_who_may_decide_and_who_may_know(self):
        request = self.ask()
        for user, decides in ((self.world.alice, False), (self.world.bob, True)):
            found = self.store.read(approvals.may_decide, request.id, user.id)
            self.assertEqual(found, decides, user.name)
            self.store.read(approvals.get_concerning, request.id, user.id)
        # An approver's own request is for the other approvers.
        self.store.write(groups.add_member, self.bosses.id, self.world.alice.id)
        self.assertFalse(self.store.read(approvals.may_decide, request.id, self.world.alice.id))
        self.store.write(groups.remove_member, self.bosses.id, self.world.bob.id)
        self.assertRaises(
            NotFound, self.store.read, approvals.get_concerning, request.id, self.world.bob.id
        )

    def test_a_view_has_what_is_in_force(self):
        self.store.write(
            assignments.update, self.world.assignment.id, {"policy_id": self.policy.id}
        )
        grant = self.store.write(approvals.approve, self.ask().id, self.world.bob)
        view = self.store.read(user_views.load_view, self.world.alice.id)
        self.assertEqual([one.id for one in view.approved], [grant.id])
        self.store.write(timed_grants.end, grant.id)
        self.assertEqual(self.store.read(user_views.load_view, self.world.alice.id).approved, ())
        self.assertEqual(self.store.read(events_of)[-1], "grant.ended")
        count = len(self.store.read(events_of))
        self.store.write(timed_grants.end, grant.id)
        self.assertEqual(len(self.store.read(events_of)), count, "the second time is no event")

    def test_a_grant_ends_by_itself(self):
        self.store.write(
            assignments.update, self.world.assignment.id, {"policy_id": self.policy.id}
        )
        self.store.write(approvals.approve, self.ask().id, self.world.bob)
        self.clock.advance(self.policy.approval_seconds)
        self.assertEqual(self.store.read(user_views.load_view, self.world.alice.id).approved, ())

    # Renewal.

    def test_more_time_is_one_grant_and_one_event(self):
        grant = self.approved()
        self.clock.advance(500)
        request = self.ask(reason="not done yet")
        self.assertEqual(request.renews_id, grant.id)
        before = self.store.read(events_of)
        longer = self.store.write(approvals.approve, request.id, self.world.bob)
        self.assertEqual(self.store.read(events_of), [*before, "request.approved"])
        self.assertEqual(longer.id, grant.id)
        self.assertEqual((longer.ends_at - grant.starts_at).total_seconds(), 500 + 600)
        self.assertEqual(longer.starts_at, grant.starts_at)
        self.assertEqual(len(self.store.read(timed_grants.list_page).items), 1)

    def test_more_time_is_never_less(self):
        grant = self.approved()
        request = self.ask(seconds=60)
        longer = self.store.write(approvals.approve, request.id, self.world.bob)
        self.assertEqual(longer.ends_at, grant.ends_at)

    def test_more_time_that_is_refused_leaves_the_end_as_planned(self):
        grant = self.approved()
        self.store.write(approvals.refuse, self.ask().id, self.world.bob)
        self.assertEqual(self.store.read(timed_grants.get, grant.id), grant)

    def test_more_time_that_is_approved_after_the_end_is_a_new_grant(self):
        grant = self.approved()
        request = self.ask()
        self.clock.advance(700)
        later = self.store.write(approvals.approve, request.id, self.world.bob)
        self.assertNotEqual(later.id, grant.id)

    # A policy that is narrowed meanwhile.

    def test_a_grant_lasts_no_longer_than_its_policy_says_now(self):
        grant = self.approved()
        self.store.write(policies.update, self.policy.id, {"approval_seconds": 120})
        shorter = self.store.read(timed_grants.get, grant.id)
        self.assertEqual((shorter.ends_at - grant.starts_at).total_seconds(), 120)
        self.store.write(policies.update, self.policy.id, {"approval_seconds": 86_400})
        self.assertEqual(self.store.read(timed_grants.get, grant.id), shorter, "never longer")

    def test_a_request_is_approved_for_what_its_policy_says_now(self):
        request = self.ask()
        self.store.write(policies.update, self.policy.id, {"approval_seconds": 120})
        grant = self.store.write(approvals.approve, request.id, self.world.bob)
        self.assertEqual((grant.ends_at - grant.starts_at).total_seconds(), 120)

    def test_a_group_of_approvers_that_is_deleted_leaves_nobody(self):
        request = self.ask()
        self.store.write(groups.delete, self.bosses.id)
        self.assertFalse(self.store.read(approvals.may_decide, request.id, self.world.bob.id))
        self.assertIsNone(self.store.read(policies.get, self.policy.id).approvers_id)


class SQLiteApprovalTests(ApprovalContract, SQLiteCase):
    pass


class PostgresApprovalTests(ApprovalContract, PostgresCase):
    def while_held(self, function, *args):
        """Begin something at another pod while a request is approved here; give its outcome.

        :return: the grant, and what the other said once this one was committed.
        """
        bob, request = self.world.bob, self.ask()

        def work(transaction):
            policies.hold(transaction, self.policy.id, bob.id)
            self.assertTrue(approvals.may_decide(transaction, request.id, bob.id))
            waiting = self.store.write_soon(function, *args)
            self.assertRaises(TimeoutError, waiting.result, 0.3)
            return approvals.approve(transaction, request.id, bob), waiting

        grant, waiting = self.store.write(work)
        return grant, waiting.result()

    def test_an_approver_who_is_removed_meanwhile_was_one(self):
        """The removal comes before the decision, or after it, and never in between."""
        _, removed = self.while_held(groups.remove_member, self.bosses.id, self.world.bob.id)
        self.assertTrue(removed)
        request = self.ask()
        self.assertFalse(self.store.read(approvals.may_decide, request.id, self.world.bob.id))

    def test_a_policy_that_is_narrowed_meanwhile_narrows_the_grant_too(self):
        grant, _ = self.while_held(policies.update, self.policy.id, {"approval_seconds": 60})
        lasts = self.store.read(timed_grants.get, grant.id)
        self.assertEqual((lasts.ends_at - lasts.starts_at).total_seconds(), 60)

    def test_other_approvers_of_a_policy_need_not_wait(self):
        carol = self.store.write(users.create, name="carol")
        self.store.write(groups.add_member, self.bosses.id, carol.id)

        def work(transaction):
            policies.hold(transaction, self.policy.id, self.world.bob.id)
            hold = self.store.write_soon(policies.hold, self.policy.id, carol.id)
            self.assertEqual(hold.result(10).id, self.policy.id)

        self.store.write(work)

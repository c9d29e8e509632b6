"""Emergencies in both databases: grants that nobody approves, and that are reviewed afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.store.approving import ApprovalSteps
from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import events_of
from tunnelcloud.domain.approvals import REPEAT_SECONDS
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import (
    assignments,
    emergencies,
    groups,
    policies,
    timed_grants,
    user_views,
    users,
)
from tunnelcloud.store.errors import Conflict


class EmergencyContract(ApprovalSteps):
    def allow_emergencies(self, seconds=300):
        changes = {"emergency_seconds": seconds}
        self.policy = self.store.write(policies.update, self.policy.id, changes)

    def begin(self, **more):
        return self.store.write(
            emergencies.begin,
            self.world.alice,
            self.world.tunnel,
            self.policy,
            source_ip="192.0.2.1",
            reason="an outage",
            **more,
        )

    def test_an_emergency_waits_for_approvers_and_administrators(self):
        alice, bob = self.world.alice, self.world.bob
        admin = self.store.write(users.create, name="boss", role=Role.ADMIN)
        self.allow_emergencies()
        begun = self.begin()
        self.assertEqual([self.waits_for(one)[0] for one in (alice, bob, admin)], [0, 1, 1])
        self.store.write(emergencies.review, begun.id, bob, answer="")
        self.assertEqual([self.waits_for(one)[0] for one in (alice, bob, admin)], [0, 0, 0])

    def test_a_reviewer_who_is_the_same_person_elsewhere_is_shown(self):
        self.make_one_person_of_two()
        self.allow_emergencies()
        self.store.write(emergencies.review, self.begin().id, self.world.bob)
        self.assert_shown_as_same("emergency.reviewed")

    def test_no_emergency_where_the_policy_knows_none(self):
        error = self.assertRaises(Conflict, self.begin)
        self.assertIn("not even in an emergency", str(error))

    def test_an_emergency_opens_at_once_and_ends_by_itself(self):
        self.allow_emergencies()
        self.store.write(
            assignments.update, self.world.assignment.id, {"policy_id": self.policy.id}
        )
        grant = self.begin(seconds=86_400)
        self.assertEqual((grant.ends_at - grant.starts_at).total_seconds(), 300)
        self.assertEqual((grant.emergency, grant.reviewed_at), (True, None))
        self.assertEqual(self.store.read(events_of)[-1], "emergency.begun")
        view = self.store.read(user_views.load_view, self.world.alice.id)
        self.assertEqual([one.id for one in view.approved], [grant.id])
        self.clock.advance(300)
        self.assertEqual(self.store.read(user_views.load_view, self.world.alice.id).approved, ())
        waiting = self.store.read(timed_grants.list_page, unreviewed=True).items
        self.assertEqual([one.id for one in waiting], [grant.id], "it still waits for a review")

    def test_an_emergency_is_what_its_policy_says_now(self):
        """Also for who comes with what they read of it before."""
        self.allow_emergencies()
        self.store.write(policies.update, self.policy.id, {"emergency_seconds": None})
        self.assertRaises(Conflict, self.begin)

    def test_an_emergency_that_is_sent_twice_is_one(self):
        self.allow_emergencies()
        with ThreadPoolExecutor(4) as pool:
            self.assertEqual(len({one.id for one in pool.map(lambda _: self.begin(), range(8))}), 1)

    def test_so_many_emergencies_without_a_review(self):
        self.patch(emergencies, "MOST_EMERGENCIES", 2)
        self.allow_emergencies()
        for _ in range(2):
            last = self.begin()
            self.clock.advance(REPEAT_SECONDS + 1)
        error = self.assertRaises(Conflict, self.begin)
        self.assertIn("have an approver review them first", str(error))
        self.store.write(emergencies.review, last.id, self.world.bob)
        self.begin()

    def test_an_emergency_is_reviewed_once(self):
        self.allow_emergencies()
        grant = self.begin()
        self.assertTrue(self.store.read(timed_grants.may_review, grant.id, self.world.bob.id))
        self.store.write(groups.add_member, self.bosses.id, self.world.alice.id)
        self.assertFalse(self.store.read(timed_grants.may_review, grant.id, self.world.alice.id))
        done = self.store.write(emergencies.review, grant.id, self.world.bob, answer="well done")
        self.assertEqual((done.reviewed_by, done.review), ("bob", "well done"))
        self.assertEqual(self.store.read(events_of)[-1], "emergency.reviewed")
        self.assertEqual(self.store.read(timed_grants.list_page, unreviewed=True).items, ())
        error = self.assertRaises(
            Conflict, self.store.write, emergencies.review, grant.id, self.world.bob
        )
        self.assertIn("bob has reviewed this emergency already", str(error))

    def test_only_an_emergency_is_reviewed(self):
        grant = self.approved()
        error = self.assertRaises(
            Conflict, self.store.write, emergencies.review, grant.id, self.world.bob
        )
        self.assertIn("only an emergency", str(error))
        self.assertFalse(self.store.read(timed_grants.may_review, grant.id, self.world.bob.id))

    def test_approvers_prolong_an_emergency_which_still_waits_for_its_review(self):
        self.allow_emergencies()
        grant = self.begin()
        longer = self.approved()
        self.assertEqual((longer.id, longer.reviewed_at), (grant.id, None))
        self.assertEqual((longer.ends_at - grant.starts_at).total_seconds(), 600)
        self.store.write(policies.update, self.policy.id, {"emergency_seconds": None})
        self.assertEqual(self.store.read(timed_grants.get, grant.id), longer)

    def test_a_policy_that_knows_no_emergencies_any_more_ends_them(self):
        self.allow_emergencies()
        grant = self.begin()
        self.store.write(policies.update, self.policy.id, {"emergency_seconds": None})
        self.assertEqual(self.store.read(timed_grants.get, grant.id).ends_at, grant.starts_at)
        self.assertEqual(self.store.read(timed_grants.list_page, live=True).items, ())


class SQLiteEmergencyTests(EmergencyContract, SQLiteCase):
    pass


class PostgresEmergencyTests(EmergencyContract, PostgresCase):
    pass

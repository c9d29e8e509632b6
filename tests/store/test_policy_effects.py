"""Whom a policy touches, and what a change of it would cut, in the sessions of all pods."""

from __future__ import annotations

from attrs import evolve

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import BOTH, START, login, make_world
from tests.store.plans import statements_of
from tunnelcloud import interpreter_lock
from tunnelcloud.domain.entities import SessionMethod
from tunnelcloud.interpreter_lock import STEPS
from tunnelcloud.store import assignments, channels, policies, policy_effects, sessions, users
from tunnelcloud.store.errors import Conflict, NotFound

NARROW = {"source_networks": ("10.0.0.0/8",)}


class PolicyEffectsContract:
    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.world = self.store.write(make_world)
        self.policy = self.store.write(policies.create, name="office")
        self.store.write(
            assignments.update, self.world.assignment.id, {"policy_id": self.policy.id}
        )

    def begin(self, user, count=1, pod="pod_1", tunnel=None):
        one = self.store.write(sessions.start, user, SessionMethod.KEY, login(pod_id=pod))
        for _ in range(count):
            self.store.write(
                channels.open, one, tunnel or self.world.tunnel, destination="db", port=5432
            )
        return one

    def effects(self, changes=NARROW, policy=None):
        policy = policy or self.policy
        planned = self.store.read(policy_effects.of_plan, policy.id, changes, START)
        self.assertEqual(planned.policy, evolve(policy, **changes))
        self.assertEqual(self.store.read(policies.get, policy.id), policy)
        return planned.effects

    def test_nobody(self):
        other = self.store.write(policies.create, name="unused")
        self.begin(self.world.alice)
        found = self.effects(policy=other)
        self.assertEqual((found.users, found.tunnels, found.sessions, found.cuts), (0, 0, 0, []))

    def test_what_would_be_cut(self):
        one = self.begin(self.world.alice, 2)
        self.begin(self.world.alice, 1, pod="pod_2")
        self.begin(self.world.bob, 1)  # whom the policy doesn't reach
        over = self.begin(self.world.alice)
        self.store.write(sessions.end, over.id, reason="left")
        found = self.effects()
        self.assertEqual((found.users, found.tunnels), (1, 1))
        self.assertEqual((found.sessions, found.channels), (2, 3))
        self.assertEqual((found.cut_sessions, found.cut_channels, found.ended), (2, 3, 0))
        self.assertEqual(found.cuts[0].session.id, one.id)
        self.assertEqual(self.effects({}).cut_sessions, 0)

    def test_each_user_counts_once(self):
        """Alice is reached by her group and directly, and has another way that stays."""
        for policy_id in (self.policy.id, None):
            made = self.store.write(users.create, name=f"u-{policy_id is None}")
            self.store.write(
                assignments.create, tunnel_id=self.world.tunnel.id, methods=BOTH,
                user_id=made.id, policy_id=policy_id,
            )  # fmt: skip
            self.begin(made)
        self.store.write(
            assignments.create, tunnel_id=self.world.tunnel.id, methods=BOTH,
            user_id=self.world.alice.id, policy_id=None,
        )  # fmt: skip
        self.begin(self.world.alice)
        found = self.effects()
        self.assertEqual((found.users, found.sessions, found.cut_sessions), (2, 2, 1))

    def test_a_change_that_would_be_refused(self):
        self.assertRaises(Conflict, self.effects, {"valid_from": START, "valid_until": START})
        self.assertRaises(NotFound, self.store.read, policy_effects.of_plan, "pol_none", {}, START)

    def test_what_it_costs(self):
        """A hundred users cost as many statements as one; what is listed is bounded."""
        self.begin(self.world.alice)

        def statements():
            engine, work = self.store.backend._readers, policy_effects.of_plan
            return statements_of(engine, self.store.read, work, self.policy.id, NARROW, START)

        few = statements()
        for number in range(60):
            made = self.store.write(users.create, name=f"user-{number}")
            self.store.write(
                assignments.create, tunnel_id=self.world.tunnel.id, methods=BOTH,
                user_id=made.id, policy_id=self.policy.id,
            )  # fmt: skip
            self.begin(made)
        self.assertEqual(statements(), few)
        found = self.effects()
        self.assertEqual((found.cut_sessions, len(found.cuts)), (61, policy_effects.MOST_SHOWN))

    def test_it_lets_the_reactor_in(self):
        """It works in a thread of the store, and gives way again and again on its way."""
        for _ in range(3 * STEPS):
            self.begin(self.world.alice)
        looks = []
        self.patch(interpreter_lock, "let_others_in", lambda: looks.append(1))
        self.assertEqual(self.effects().cut_sessions, 3 * STEPS)
        # For each so many channels that are read, and for each so many sessions.
        self.assertGreaterEqual(len(looks), 6)

    def test_more_than_are_looked_at(self):
        self.patch(policy_effects, "MOST_SESSIONS", 1)
        self.patch(policy_effects, "USERS_AT_ONCE", 1)
        self.begin(self.world.alice)
        self.assertTrue(self.effects().is_complete)
        made = self.store.write(users.create, name="zoe")
        self.store.write(
            assignments.create, tunnel_id=self.world.tunnel.id, methods=BOTH,
            user_id=made.id, policy_id=self.policy.id,
        )  # fmt: skip
        self.begin(made)
        found = self.effects()
        self.assertEqual((found.sessions, found.is_complete), (1, False))


class SQLitePolicyEffectsTests(PolicyEffectsContract, SQLiteCase):
    pass


class PostgresPolicyEffectsTests(PolicyEffectsContract, PostgresCase):
    pass

"""A user's view holds every path to every tunnel, and nothing of anybody else."""

from __future__ import annotations

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import BOTH, make_tunnel, make_world
from tunnelcloud.domain.entities import Method, UserView
from tunnelcloud.store import assignments, groups, policies, tunnels, user_views, users
from tunnelcloud.store.errors import NotFound


class AccessContract:
    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.world = self.store.write(make_world)

    def view(self, user):
        return self.store.read(user_views.load_view, user.id)

    def test_without_a_grant(self):
        self.assertEqual(self.view(self.world.bob), UserView(self.world.bob))
        self.assertRaises(NotFound, self.store.read, user_views.load_view, "usr_none")

    def test_not_within_a_write(self):
        """All logins wait for a write, and a user may have thousands of tunnels."""
        wanted = user_views.load_view, self.world.alice.id
        self.assertRaises(AssertionError, self.store.write, *wanted)

    def test_by_a_group(self):
        [grant] = self.view(self.world.alice).grants
        self.assertEqual(grant.tunnel, self.world.tunnel)
        self.assertEqual(grant.methods, BOTH)
        self.assertEqual(grant.group_name, "dba")
        self.assertEqual(grant.policies, ())
        self.assertEqual(grant.assignment_id, self.world.assignment.id)

    def test_by_several_paths(self):
        policy = self.store.write(policies.create, name="office", source_networks=("10.0.0.0/8",))
        direct = self.store.write(
            assignments.create,
            tunnel_id=self.world.tunnel.id,
            methods={Method.KEY},
            user_id=self.world.alice.id,
            policy_id=policy.id,
        )
        other = self.store.write(make_tunnel, self.world.site.id, "another")
        self.store.write(
            assignments.create, tunnel_id=other.id, methods=BOTH, group_id=self.world.dba.id
        )
        grants = self.view(self.world.alice).grants
        self.assertEqual(
            [(one.tunnel.name, one.group_name) for one in grants],
            [("another", "dba"), ("db", "dba"), ("db", None)],
        )
        self.assertEqual(grants[2].policies, (policy,))
        self.assertEqual(grants[2].assignment_id, direct.id)
        self.assertEqual(grants[2].methods, frozenset({Method.KEY}))

    def test_of_others_nothing(self):
        self.store.write(
            assignments.create,
            tunnel_id=self.world.tunnel.id,
            methods=BOTH,
            user_id=self.world.alice.id,
        )
        self.assertEqual(self.view(self.world.bob).grants, ())

    def test_a_disabled_tunnel_is_there_to_be_explained(self):
        self.store.write(tunnels.update, self.world.tunnel.id, {"enabled": False})
        [grant] = self.view(self.world.alice).grants
        self.assertFalse(grant.tunnel.enabled)

    def test_what_is_taken_away_is_gone(self):
        self.store.write(groups.remove_member, self.world.dba.id, self.world.alice.id)
        self.assertEqual(self.view(self.world.alice).grants, ())
        self.store.write(groups.add_member, self.world.dba.id, self.world.alice.id)
        self.store.write(groups.delete, self.world.dba.id)
        self.assertEqual(self.view(self.world.alice).grants, ())

    def test_a_blocked_user_says_so(self):
        self.store.write(users.update, self.world.alice.id, {"blocked": True})
        self.assertTrue(self.view(self.world.alice).user.blocked)

    def test_names_of_many(self):
        alice, bob = self.world.alice, self.world.bob
        found = self.store.read(user_views.names_of, "user", [alice.id, bob.id, "usr_none"])
        self.assertEqual(found, {alice.id: "alice", bob.id: "bob"})
        self.assertEqual(self.store.read(user_views.names_of, "policy", []), {})


class SQLiteAccessTests(AccessContract, SQLiteCase):
    pass


class PostgresAccessTests(AccessContract, PostgresCase):
    pass

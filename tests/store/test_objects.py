"""What administrators make: created, found, changed, deleted, audited."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import BOTH, MovingClock, events_of, make_tunnel, make_world, public_key
from tests.store.plans import statements_of
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.schedule import parse_window
from tunnelcloud.store import (
    assignments,
    audit,
    connectors,
    groups,
    keys,
    policies,
    schema,
    sites,
    tokens,
    tunnels,
    users,
)
from tunnelcloud.store.errors import Conflict, InvalidReference, NotFound, Stale
from tunnelcloud.store.object_writes import version_of
from tunnelcloud.store.transaction import Change


class ObjectContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)
        self.heard = []
        self.store.listen(lambda committed: self.heard.extend(committed.changes))

    def last_event(self):
        return self.store.read(audit.list_page, limit=1).items[0].event

    def rows(self, table):
        query = select(func.count()).select_from(table)
        return self.store.read(lambda tx: tx.connection.execute(query).scalar_one())

    def test_found_by_name_or_id(self):
        site = self.world.site
        self.assertEqual(self.store.read(sites.SITES.find, "paris"), site)
        self.assertEqual(self.store.read(sites.SITES.find, site.id), site)
        for wanted in ("rome", "", "sit_none", "a\x00b", "paris "):
            error = self.assertRaises(NotFound, self.store.read, sites.SITES.find, wanted)
            self.assertEqual((error.kind, error.name), ("site", wanted))

    def test_a_taken_name_names_the_field(self):
        error = self.assertRaises(Conflict, self.store.write, sites.create, name="paris")
        self.assertEqual(error.field, "name")
        self.assertEqual(str(error), "there is a site with the name 'paris' already")
        self.store.write(sites.create, name="rome")
        rome = self.store.read(sites.SITES.find, "rome")
        error = self.assertRaises(
            Conflict, self.store.write, sites.update, rome.id, {"name": "paris"}
        )
        self.assertEqual(error.field, "name")

    def test_a_change_is_written_audited_and_told(self):
        after = self.store.write(tunnels.update, self.world.tunnel.id, {"title": "Orders"})
        self.assertEqual(after.title, "Orders")
        self.assertEqual(self.store.read(tunnels.get, after.id), after)
        event = self.last_event()
        self.assertEqual(event.event, "tunnel.changed")
        self.assertEqual((event.tunnel_id, event.tunnel_name), (after.id, "db"))
        self.assertEqual(event.data["changes"], {"title": {"from": "", "to": "Orders"}})
        self.assertEqual(
            self.heard, [Change("tunnel", after.id, decides=False, concerns=(after.id,))]
        )

    def test_no_difference_is_no_change(self):
        before = self.store.read(events_of)
        tunnel = self.world.tunnel
        same = {"title": "", "target_ports": tunnel.target_ports, "enabled": True}
        self.assertEqual(self.store.write(tunnels.update, tunnel.id, same), tunnel)
        self.assertEqual(self.store.read(events_of), before)
        self.assertEqual(self.heard, [])

    def test_a_stale_reader_changes_nothing(self):
        tunnel = self.world.tunnel
        seen = version_of(tunnel)
        after = self.store.write(tunnels.update, tunnel.id, {"title": "one"}, expected_version=seen)
        for function, arguments in ((tunnels.update, [{"title": "two"}]), (tunnels.delete, [])):
            error = self.assertRaises(
                Stale, self.store.write, function, tunnel.id, *arguments, expected_version=seen
            )
            self.assertEqual(error.object_id, tunnel.id)
        self.assertEqual(self.store.read(tunnels.get, tunnel.id), after)
        self.store.write(tunnels.delete, tunnel.id, expected_version=version_of(after))

    def test_what_is_observed_is_no_part_of_the_version(self):
        connector = self.store.write(connectors.create, name="c", site_id=self.world.site.id)
        self.store.write(connectors.record_seen, {connector.id: "0.1.0"})
        after = self.store.read(connectors.get, connector.id)
        self.assertEqual(after.last_seen_at, self.clock.moment)
        self.assertEqual(after.version, "0.1.0")
        self.assertEqual(version_of(after), version_of(connector))

    def test_what_is_fixed_stays(self):
        given = {"tunnel_id": "tun_other"}
        error = self.assertRaises(
            Conflict, self.store.write, assignments.update, self.world.assignment.id, given
        )
        self.assertEqual(error.field, "tunnel_id")

    def test_a_reference_to_nothing_names_the_field(self):
        error = self.assertRaises(
            InvalidReference, self.store.write, make_tunnel, "sit_none", "other"
        )
        self.assertEqual((error.field, error.kind, error.value), ("site_id", "site", "sit_none"))
        change = {"site_id": "sit_none"}
        self.assertRaises(
            InvalidReference, self.store.write, tunnels.update, self.world.tunnel.id, change
        )

    def test_external_addresses_are_unique_and_optional(self):
        first = self.world.tunnel
        other = self.store.write(make_tunnel, self.world.site.id, "other")
        self.store.write(tunnels.update, first.id, {"external_address": "db.example.com"})
        change = {"external_address": "db.example.com"}
        error = self.assertRaises(Conflict, self.store.write, tunnels.update, other.id, change)
        self.assertEqual(error.field, "external_address")
        self.store.write(tunnels.update, first.id, {"external_address": None})
        self.store.write(tunnels.update, other.id, change)

    def test_a_tunnel_reads_as_it_was_made(self):
        tunnel = self.store.write(
            tunnels.create,
            name="all",
            site_id=self.world.site.id,
            target_address="fd00::1",
            target_ports=(PortRange(1, 1), PortRange(2, 65535)),
            title="Tïtle <b>",
            local_port_offset=-100,
            external_address="all.example.com",
            enabled=False,
            icon="database",
            description="two\nlines",
        )
        self.assertEqual(self.store.read(tunnels.get, tunnel.id), tunnel)
        self.assertEqual(tunnel.site_name, "paris")
        self.assertEqual(tunnel.target_ports, (PortRange(1, 1), PortRange(2, 65535)))
        self.assertEqual(tunnel.description, "two\nlines")

    def test_a_policy_reads_as_it_was_made(self):
        policy = self.store.write(
            policies.create,
            name="office",
            source_networks=("10.0.0.0/8", "fd00::/8"),
            windows=(parse_window("Mon-Fri 09:00-18:00 Europe/Paris"),),
            valid_from=self.clock.moment,
            valid_until=self.clock.moment + timedelta(days=1),
            max_session_seconds=3600,
            max_token_sessions=8,
        )
        self.assertEqual(self.store.read(policies.get, policy.id), policy)
        self.assertEqual(str(policy.windows[0]), "Mon-Fri 09:00-18:00 Europe/Paris")
        self.assertIsNone(policy.idle_seconds)

    def test_deleting_a_site_deletes_what_is_in_it(self):
        connector = self.store.write(connectors.create, name="c", site_id=self.world.site.id)
        self.store.write(
            connectors.add_join_token, connector.id, secret_hash="h", lifetime_seconds=60
        )
        self.heard.clear()
        self.store.write(sites.delete, self.world.site.id)
        for table in (schema.connectors, schema.tunnels, schema.assignments, schema.join_tokens):
            self.assertEqual(self.rows(table), 0, table.name)
        self.assertEqual(
            self.store.read(events_of)[-3:],
            ["connector.deleted", "tunnel.deleted", "site.deleted"],
        )
        self.assertEqual(len(self.heard), 3)

    def test_deleting_a_site_takes_as_many_statements_with_many_tunnels(self):
        """Logins wait behind it on SQLite."""
        backend = self.store.backend
        engine = backend._writer if self.url == "sqlite" else backend._writers
        counts = []
        for number in (3, 60):
            site = self.store.write(sites.create, name=f"site-{number}")
            made = [
                self.store.write(make_tunnel, site.id, f"tunnel-{number}-{one}").name
                for one in range(number)
            ]
            self.heard.clear()
            counts.append(statements_of(engine, self.store.write, sites.delete, site.id))
            events = self.store.read(
                audit.list_page, event="tunnel.deleted", limit=100, sort="created_at"
            ).items
            self.assertEqual([one.event.tunnel_name for one in events][-number:], made)
            self.assertEqual(len(self.heard), number + 1)
        self.assertEqual(counts[0], counts[1])

    def test_deleting_a_user_deletes_what_is_theirs(self):
        alice, tunnel = self.world.alice, self.world.tunnel
        self.store.write(keys.create, user_id=alice.id, public_key=public_key("one")[0])
        self.store.write(tokens.create, user_id=alice.id, secret_hash=b"x", lifetime_seconds=60)
        self.store.write(assignments.create, tunnel_id=tunnel.id, methods=BOTH, user_id=alice.id)
        self.store.write(users.delete, alice.id)
        for table in (schema.keys, schema.tokens, schema.group_members):
            self.assertEqual(self.rows(table), 0, table.name)
        self.assertEqual(self.rows(schema.assignments), 1)
        self.assertIsNone(self.store.read(users.find_login, "alice@example.com"))
        self.assertEqual(self.last_event().user_name, "alice")
        self.store.write(users.create, name="alice")

    def test_a_policy_in_use_stays(self):
        policy = self.store.write(policies.create, name="office")
        self.store.write(assignments.update, self.world.assignment.id, {"policy_id": policy.id})
        error = self.assertRaises(Conflict, self.store.write, policies.delete, policy.id)
        self.assertIn("assignments of db", str(error))
        self.store.write(assignments.delete, self.world.assignment.id)
        self.store.write(policies.delete, policy.id)
        self.assertEqual(self.rows(schema.policies), 0)

    def test_an_assignment_is_to_a_user_or_a_group(self):
        tunnel = self.world.tunnel.id
        for given in ({}, {"user_id": self.world.alice.id, "group_id": self.world.dba.id}):
            self.assertRaises(
                Conflict,
                self.store.write,
                assignments.create,
                tunnel_id=tunnel,
                methods=BOTH,
                **given,
            )

    def test_an_assignment_exists_once(self):
        given = {"tunnel_id": self.world.tunnel.id, "group_id": self.world.dba.id}
        error = self.assertRaises(
            Conflict, self.store.write, assignments.create, methods=BOTH, **given
        )
        self.assertEqual(error.field, "group_id")
        self.assertIn(self.world.assignment.id, str(error))

    def test_assignments_that_reach_a_user(self):
        direct = self.store.write(
            assignments.create,
            tunnel_id=self.world.tunnel.id,
            methods={Method.KEY},
            user_id=self.world.alice.id,
        )
        found = self.store.read(assignments.list_page, reaches_user_id=self.world.alice.id)
        self.assertEqual(found.items, (self.world.assignment, direct))
        found = self.store.read(assignments.list_page, reaches_user_id=self.world.bob.id)
        self.assertEqual(found.items, ())

    def test_names_and_emails_are_one_namespace_without_case(self):
        for given in (
            {"name": "ALICE"},
            {"name": "alice@example.com"},
            {"name": "carol", "email": "Alice@Example.COM"},
            {"name": "carol", "email": "bob"},
        ):
            error = self.assertRaises(Conflict, self.store.write, users.create, **given)
            self.assertEqual(error.field, "email" if "email" in given else "name")
            self.assertIsNone(self.store.read(users.find_login, "carol"))
        self.assertRaises(
            Conflict, self.store.write, users.update, self.world.bob.id, {"email": "ALICE"}
        )

    def test_a_login_name_means_one_user(self):
        for name in ("alice", "Alice", "ALICE@example.com"):
            self.assertEqual(self.store.read(users.find_login, name), self.world.alice)
        for name in ("", "carol", "alice@", "a\x00", "%", "alic_", self.world.alice.id):
            self.assertIsNone(self.store.read(users.find_login, name))
        self.assertEqual(self.store.read(users.find, "Alice@example.com"), self.world.alice)
        self.assertEqual(self.store.read(users.find, self.world.alice.id), self.world.alice)

    def test_renaming_frees_the_old_name(self):
        self.store.write(users.update, self.world.alice.id, {"name": "Alicia", "email": None})
        self.assertIsNone(self.store.read(users.find_login, "alice"))
        self.assertIsNone(self.store.read(users.find_login, "alice@example.com"))
        self.assertEqual(self.store.read(users.find_login, "alicia").id, self.world.alice.id)
        self.store.write(users.create, name="alice", role=Role.AUDITOR)

    def test_members_come_and_go(self):
        dba, bob = self.world.dba, self.world.bob
        self.assertTrue(self.store.write(groups.add_member, dba.id, bob.id))
        self.assertFalse(self.store.write(groups.add_member, dba.id, bob.id))
        members = self.store.read(groups.list_members, dba.id)
        self.assertEqual([user.name for user in members.items], ["alice", "bob"])
        self.assertEqual(self.store.read(groups.list_page, user_id=bob.id).items, (dba,))
        self.assertTrue(self.store.write(groups.remove_member, dba.id, bob.id))
        self.assertFalse(self.store.write(groups.remove_member, dba.id, bob.id))
        self.assertEqual(self.heard, [Change("user", bob.id, concerns=(bob.id,))] * 2)
        self.assertEqual(self.last_event().data["member_id"], bob.id)
        self.assertRaises(NotFound, self.store.write, groups.add_member, dba.id, "usr_none")
        self.assertRaises(NotFound, self.store.write, groups.add_member, "grp_none", bob.id)
        self.assertRaises(NotFound, self.store.read, groups.list_members, "grp_none")


class SQLiteObjectTests(ObjectContract, SQLiteCase):
    pass


class PostgresObjectTests(ObjectContract, PostgresCase):
    pass

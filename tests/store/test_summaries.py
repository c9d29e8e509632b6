"""What pages sum up: hours, counts beside a list, and what a deletion would take with it."""

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import BOTH, make_tunnel
from tests.store.records import RecordCase
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import (
    assignments,
    channels,
    connectors,
    deletion_warnings,
    groups,
    list_counts,
    policies,
    statistics,
    tunnels,
)
from tunnelcloud.store.deletion_warnings import Consequences
from tunnelcloud.store.transaction import Transaction


class SummaryContract(RecordCase):
    def refuse(self, event="login.refused"):
        self.store.write(Transaction.audit, AuditEvent(event, data={"reason": "x"}))

    def close(self, channel, to_target, from_target):
        self.store.write(
            channels.close,
            channel.id,
            reason="",
            bytes_to_target=to_target,
            bytes_from_target=from_target,
        )

    def test_hours(self):
        self.refuse()
        self.clock.advance(24 * 3600)
        session = self.start()
        channel = self.open_channel(session)
        self.refuse("web_login.refused")
        self.clock.advance(2 * 3600)
        self.close(channel, 100, 200)
        self.refuse()
        self.clock.advance(3600)
        found = self.store.read(statistics.last_slots)
        nothing = (0,) * 20
        self.assertEqual(found.sessions, (*nothing, 0, 1, 1, 1))
        self.assertEqual(found.channels, (*nothing, 0, 1, 1, 1))
        self.assertEqual(found.traffic, (*nothing, 0, 100, 100, 100))
        self.assertEqual(found.refused, (*nothing, 0, 1, 0, 1))
        shorter = self.store.read(statistics.last_slots, 3, 1800)
        self.assertEqual((shorter.seconds, shorter.refused), (1800, (0, 1, 0)))
        self.clock.advance(48 * 3600)
        later = self.store.read(statistics.last_slots)
        self.assertEqual((later.sessions, later.refused), ((1,) * 24, (0,) * 24))

    def test_counts_beside_a_list(self):
        world = self.world
        other = self.store.write(make_tunnel, world.site.id, "other")
        self.store.write(
            assignments.create, tunnel_id=world.tunnel.id, methods=BOTH, user_id=world.bob.id
        )
        session = self.start()
        channel = self.open_channel(session)
        self.close(self.open_channel(session), 0, 0)
        found = self.store.read(list_counts.of_tunnels, [world.tunnel.id, other.id])
        self.assertEqual(found.users, {world.tunnel.id: 1})
        self.assertEqual(found.groups, {world.tunnel.id: 1})
        self.assertEqual(found.open, {world.tunnel.id: 1})
        self.assertEqual(self.store.read(list_counts.open_channels, [session.id]), [channel])
        connector = self.store.write(connectors.create, name="c", site_id=world.site.id)
        self.assertEqual(self.store.read(list_counts.connectors_of, [world.site.id]), [connector])

    def cost(self, kind, one):
        return self.store.read(deletion_warnings.of_deleting, kind, one.id)

    def test_what_a_deletion_takes_with_it(self):
        world = self.world
        self.open_channel(self.start())
        self.open_channel(self.start())
        self.store.write(
            assignments.create, tunnel_id=world.tunnel.id, methods=BOTH, user_id=world.bob.id
        )
        self.open_channel(self.start(user=world.bob))
        self.assertEqual(
            self.cost("tunnel", world.tunnel), Consequences(2, 3, objects=(("assignment", 2),))
        )
        self.assertEqual(
            self.cost("site", world.site), Consequences(2, 3, objects=(("tunnel", 1),))
        )
        self.assertEqual(self.cost("user", world.alice), Consequences(1, 2, 2))
        self.assertEqual(
            self.cost("group", world.dba),
            Consequences(1, 2, objects=(("membership", 1), ("assignment", 1))),
        )
        self.assertEqual(self.cost("assignment", world.assignment), Consequences(1, 2))
        self.store.write(groups.remove_member, world.dba.id, world.alice.id)
        self.assertEqual(self.cost("assignment", world.assignment), Consequences())
        policy = self.store.write(policies.create, name="office")
        self.assertEqual(self.cost("policy", policy), Consequences())
        self.store.write(assignments.update, world.assignment.id, {"policy_id": policy.id})
        self.assertEqual(self.cost("policy", policy), Consequences(in_use=1))
        connector = self.store.write(connectors.create, name="c", site_id=world.site.id)
        self.assertEqual(self.cost("connector", connector), Consequences())
        self.store.write(tunnels.delete, world.tunnel.id)


class SQLiteSummaryTests(SummaryContract, SQLiteCase):
    pass


class PostgresSummaryTests(SummaryContract, PostgresCase):
    pass

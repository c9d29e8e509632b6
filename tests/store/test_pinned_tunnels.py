"""What a user wants to see first."""

from __future__ import annotations

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import make_tunnel
from tests.store.plans import statements_of
from tests.store.records import RecordCase
from tunnelcloud.store import channels, pinned_tunnels, tunnels
from tunnelcloud.store.errors import NotFound


class PinContract(RecordCase):
    def test_pinned_until_let_go(self):
        alice, tunnel = self.world.alice.id, self.world.tunnel.id
        for _ in range(2):
            self.store.write(pinned_tunnels.set_pinned, alice, tunnel, True)
            self.assertEqual(self.store.read(pinned_tunnels.pinned, alice), {tunnel})
        self.assertEqual(self.store.read(pinned_tunnels.pinned, self.world.bob.id), frozenset())
        for _ in range(2):
            self.store.write(pinned_tunnels.set_pinned, alice, tunnel, False)
            self.assertEqual(self.store.read(pinned_tunnels.pinned, alice), frozenset())

    def test_pins_go_with_the_tunnel(self):
        self.store.write(pinned_tunnels.set_pinned, self.world.alice.id, self.world.tunnel.id, True)
        self.store.write(tunnels.delete, self.world.tunnel.id)
        self.assertEqual(self.store.read(pinned_tunnels.pinned, self.world.alice.id), frozenset())

    def test_what_is_not_there(self):
        for ids in [("usr_none", self.world.tunnel.id), (self.world.alice.id, "tun_none")]:
            self.assertRaises(NotFound, self.store.read, pinned_tunnels.check_reached, *ids)

    def test_a_write_looks_at_nothing_else(self):
        """Logins wait behind it, however many tunnels the user has."""
        backend = self.store.backend
        engine = backend._writer if self.url == "sqlite" else backend._writers
        arguments = self.world.alice.id, self.world.tunnel.id, True
        count = statements_of(engine, self.store.write, pinned_tunnels.set_pinned, *arguments)
        self.assertLessEqual(count, 4)

    def test_the_last_used_first(self):
        world = self.world
        session = self.start()
        other = self.store.write(make_tunnel, world.site.id, "other")
        for tunnel in (other, world.tunnel, other, world.tunnel):
            self.store.write(channels.open, session, tunnel, destination="x", port=1)
        self.assertEqual(
            self.store.read(pinned_tunnels.recently_used, world.alice.id),
            [world.tunnel.id, other.id],
        )
        self.assertEqual(self.store.read(pinned_tunnels.recently_used, world.bob.id), [])


class SQLitePinTests(PinContract, SQLiteCase):
    pass


class PostgresPinTests(PinContract, PostgresCase):
    pass

"""Targets are tried as often as is set, where there is a way, and what came of it is kept."""

from datetime import UTC, datetime, timedelta

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.store.databases import SQLiteCase
from tests.store.material import make_tunnel, make_world
from tests.web.support import QueuedReactor
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.target_certificates import SeenCertificate
from tunnelcloud.pod.target_checks import LOOK_SECONDS, TargetChecks
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store import preferences, sites, tunnels
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.transaction import Change, Resync

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class ToldDoctor:
    """Finds what a test says, and remembers what it looked at."""

    def __init__(self):
        self.looked, self.ill, self.certificate = [], set(), None

    async def check(self, tunnel, port):
        self.looked.append((tunnel.name, port))
        ok = tunnel.name not in self.ill
        yield DoctorStep("connect", ok, 1.0, "connected" if ok else "refused", "", self.certificate)


class ToldLinks:
    def __init__(self, *sites):
        self.sites = sites

    def pick(self, site_id, exclude=frozenset()):
        return self if site_id in self.sites else None


class CheckTests(SQLiteCase):
    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.world = self.store.write(make_world)
        port = (PortRange(5432, 5432),)
        self.store.write(tunnels.update, self.world.tunnel.id, {"target_ports": port})
        far = self.store.write(sites.create, name="rome")
        self.store.write(make_tunnel, far.id, "far")
        self.reactor, self.clock, self.doctor = QueuedReactor(), Clock(), ToldDoctor()
        self.checks = TargetChecks(
            AsyncStore(self.store, self.reactor),
            ToldLinks(self.world.site.id),
            self.doctor,
            self.clock,
            lambda: AT,
        )

    def look(self):
        """Let it see whether a round is due, and give what it looked at."""
        done = []
        self.checks.run().addBoth(done.append)
        while not done:
            self.reactor.run_one()
        self.assertEqual(done, [None])
        looked, self.doctor.looked = self.doctor.looked, []
        return looked

    def set(self, seconds):
        self.store.write(preferences.change_settings, {"target_check_seconds": seconds})

    def test_by_default_each_is_tried_every_minute(self):
        self.assertEqual(self.look(), [("db", 5432)])
        self.clock.advance(59)
        self.assertEqual(self.look(), [])
        self.clock.advance(1)
        self.assertEqual(self.look(), [("db", 5432)])

    def test_where_it_is_switched_off_nothing_is_tried(self):
        self.set(None)
        self.assertEqual(self.look(), [])
        self.assertIsNone(self.checks.last(self.world.tunnel.id))

    def test_as_often_as_is_set_and_where_there_is_a_way(self):
        self.set(60)
        self.assertEqual(self.look(), [("db", 5432)])
        found = self.checks.last(self.world.tunnel.id)
        self.assertEqual((found.at, found.ok), (AT, True))
        self.assertEqual(self.checks.failing(), {})
        self.clock.advance(59)
        self.assertEqual(self.look(), [])
        self.clock.advance(1)
        self.doctor.ill = {"db"}
        self.assertEqual(self.look(), [("db", 5432)])
        found = self.checks.last(self.world.tunnel.id)
        self.assertEqual((found.ok, found.steps[0].text), (False, "refused"))
        self.assertEqual(self.checks.failing(), {self.world.tunnel.id: "refused"})

    def test_when_certificates_end(self):
        self.set(60)
        self.look()
        self.assertEqual(self.checks.certificates(), {})
        self.doctor.certificate = SeenCertificate("db", "CA", AT, AT + timedelta(9))
        self.clock.advance(60)
        self.look()
        self.assertEqual(self.checks.certificates(), {self.world.tunnel.id: AT + timedelta(9)})

    def test_what_is_gone_or_disabled_is_forgotten(self):
        self.set(60)
        self.look()
        self.store.write(tunnels.update, self.world.tunnel.id, {"enabled": False})
        self.clock.advance(60)
        self.assertEqual(self.look(), [])
        self.assertIsNone(self.checks.last(self.world.tunnel.id))

    def test_without_the_store_it_is_tried_later(self):
        self.store.close()
        self.assertEqual(self.look(), [])

    def test_each_port_of_a_range_in_turn(self):
        ports = (PortRange(80, 80), PortRange(8000, 8001))
        self.store.write(tunnels.update, self.world.tunnel.id, {"target_ports": ports})
        found = []
        for _ in range(4):
            found += self.look()
            self.clock.advance(60)
        self.assertEqual(found, [("db", 80), ("db", 8000), ("db", 8001), ("db", 80)])
        self.assertEqual(self.checks.faults(self.world.tunnel.id), {8000: "", 8001: "", 80: ""})

    def test_a_port_that_failed_is_tried_again_each_time(self):
        ports = (PortRange(80, 80), PortRange(8000, 8001))
        self.store.write(tunnels.update, self.world.tunnel.id, {"target_ports": ports})
        self.doctor.ill = {"db"}
        self.assertEqual(self.look(), [("db", 80)])
        self.doctor.ill = set()
        self.clock.advance(60)
        self.assertEqual(self.look(), [("db", 8000), ("db", 80)])
        self.assertTrue(self.checks.last(self.world.tunnel.id).ok)

    def test_a_fault_of_one_port_is_the_last_check(self):
        tunnel = self.store.write(
            tunnels.update, self.world.tunnel.id, {"target_ports": (PortRange(80, 81),)}
        )
        self.doctor.ill = {"db"}
        self.look()
        self.doctor.ill = set()
        Deferred.fromCoroutine(self.checks.check(tunnel, 81))
        self.assertFalse(self.checks.last(tunnel.id).ok)
        self.assertEqual(self.checks.faults(tunnel.id), {80: "refused", 81: ""})

    def test_what_is_made_or_changed_is_tried_soon(self):
        self.look()
        tunnel = self.store.write(make_tunnel, self.world.site.id, "new")
        self.checks.changed(Change("tunnel", tunnel.id, False))
        self.checks.changed(Change("tunnel", "tun_gone"))
        self.checks.changed(Change("user", self.world.alice.id))
        self.checks.changed(Resync())
        self.assertEqual(self.look(), [("new", 5432)])
        self.assertEqual(self.look(), [])
        # Of where it is now, nothing is known.
        self.checks.changed(Change("tunnel", tunnel.id))
        self.assertEqual(self.checks.faults(tunnel.id), {})

    def test_where_nothing_is_new_the_settings_are_read_now_and_then(self):
        """It is asked every second, so that what is new is tried before people try it."""
        reads, read = [], preferences.settings
        self.patch(preferences, "settings", lambda asked: (reads.append(1), read(asked))[1])
        self.look()
        for _ in range(10):
            self.clock.advance(LOOK_SECONDS)
            self.assertEqual(self.look(), [])
        self.assertEqual(len(reads), 3)
        self.set(10)
        self.clock.advance(5)
        self.assertEqual(self.look(), [("db", 5432)])

    def test_a_round_is_spread_over_half_of_its_time(self):
        """A round of thousands at once made everybody's bytes wait for seconds."""
        self.set(10)
        for number in range(199):
            self.store.write(make_tunnel, self.world.site.id, f"t{number}")
        self.assertEqual(len(self.look()), 200, "nothing is known of them yet")
        self.clock.advance(10)
        looked = [self.look()]
        new = self.store.write(make_tunnel, self.world.site.id, "new")
        self.checks.changed(Change("tunnel", new.id))
        for _ in range(4):
            self.clock.advance(LOOK_SECONDS)
            looked.append(self.look())
        # One tunnel of the first part has no way, and the new one is tried twice.
        self.assertEqual([len(one) for one in looked], [40, 42, 41, 41, 38])
        self.assertEqual(looked[1][0], ("new", 5432), "it isn't behind the round")
        self.assertEqual(len({name for part in looked for name, _ in part}), 201)
        self.clock.advance(LOOK_SECONDS)
        self.assertEqual(self.look(), [])

    def test_a_round_ends_where_it_is_switched_off(self):
        self.set(10)
        for number in range(99):
            self.store.write(make_tunnel, self.world.site.id, f"t{number}")
        self.look()
        self.clock.advance(10)
        self.assertEqual(len(self.look()), 24)
        self.set(None)
        self.assertEqual(self.look(), [])
        self.set(10)
        self.clock.advance(5)
        self.assertEqual(self.look(), [])

    def test_a_site_that_is_back_is_tried_soon(self):
        self.look()
        self.checks.connector_attached(ToldConnector(self.world.site.id), "1")
        self.assertEqual(self.look(), [("db", 5432)])
        self.assertEqual(self.look(), [])

    def test_so_many_ports_are_remembered(self):
        tunnel = self.world.tunnel
        for port in range(1, 300):
            Deferred.fromCoroutine(self.checks.check(tunnel, port))
        self.assertEqual(len(self.checks.faults(tunnel.id)), 256)


@frozen
class ToldConnector:
    site_id: str

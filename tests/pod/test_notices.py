"""Administrators are told once of what is not well, and of what is well again."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.pod.acme.test_keeper import StoreAtOnce
from tests.store.databases import SQLiteCase
from tests.store.material import MovingClock, login, make_world
from tunnelcloud.domain.entities import SessionMethod
from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.pod import notices as module
from tunnelcloud.pod.notices import HOUR, MOST_OF_USER, PATIENCE, SETTLED, Notices, Seen
from tunnelcloud.store import connectors, pods, sessions, sites, tunnels
from tunnelcloud.store.pods import Registration
from tunnelcloud.store.site_health import Attachments
from tunnelcloud.store.transaction import Committed

DAY = timedelta(days=1)


class Told:
    """Stands for the sinks."""

    def __init__(self):
        self.notices = []

    def tell(self, notice):
        self.notices.append(notice)

    def taken(self):
        """Give kinds and texts since the last time."""
        found, self.notices = self.notices, []
        return [(one["kind"], one["text"]) for one in found]


class OwnClock(Clock):
    """A reactor's clock that other threads may use."""

    def callFromThread(self, function, *args):
        function(*args)


class NoticesTests(SQLiteCase):
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)
        self.site = self.store.read(sites.get, self.world.tunnel.site_id)
        for one in self.store.read(connectors.list_page).items:
            self.store.write(connectors.delete, one.id)
        self.connector = self.store.write(connectors.create, name="one", site_id=self.site.id)
        self.store.write(
            lambda transaction: transaction.connection.exec_driver_sql(
                "UPDATE connectors SET joined_at = 1"
            )
        )
        self.here = {self.connector.id}
        self.failing, self.ends, self.late = {}, {}, False
        self.authority_ends = self.now() + 400 * DAY
        self.told = Told()
        self.full = 0.5
        self.patch(module.os, "statvfs", lambda _: SimpleNamespace(
            f_bavail=round((1 - self.full) * 100), f_blocks=100))  # fmt: skip
        self.pod = self.make("pod-1")

    def now(self):
        return self.clock.moment

    def make(self, name):
        registration = Registration(name, "1", "a:1", "a:2", name, name)
        pod = self.store.write(pods.register, registration, shared=True)
        seen = Seen(
            attachments=lambda: Attachments(frozenset(self.here), {}, self.now()),
            failing=lambda: self.failing,
            target_certificates=lambda: self.ends,
            authority_ends=lambda: self.authority_ends,
            web_is_ending=lambda: self.late,
            state_directory=Path(),
        )
        store, reactor = StoreAtOnce(self.store), OwnClock()
        return Notices(self.told, store, seen, reactor, (pod.id, name), "https://portal", self.now)

    def look(self, seconds=0.0, *others):
        """Let time pass and all pods look; give what was told."""
        for pod in (self.pod, *others):
            pod.reactor.advance(seconds)
        self.clock.advance(seconds)
        for name in ("pod-1", "pod-2")[: 1 + len(others)]:
            self.store.write(
                lambda transaction, name=name: transaction.connection.exec_driver_sql(
                    "UPDATE pods SET leased_until = ? WHERE name = ?",
                    (int((self.now() + timedelta(seconds=20)).timestamp() * 1000), name),
                )
            )
        for pod in (self.pod, *others):
            self.successResultOf(Deferred.fromCoroutine(pod.look()))
        return self.told.taken()

    def test_a_site_that_goes_and_comes_back(self):
        self.look(SETTLED)
        self.here.clear()
        self.assertEqual(self.look(), [])
        self.assertEqual(self.look(PATIENCE - 1), [])
        text = f"site {self.site.name} is down: no connector is attached"
        self.assertEqual(self.look(1), [("site.down", text)])
        self.assertEqual(self.look(60), [])
        self.here.add(self.connector.id)
        self.assertEqual(
            self.look(60), [("site.back", f"site {self.site.name} is back after 2 min")]
        )
        self.assertEqual(self.look(60), [])

    def test_a_short_absence_is_nobodys_business(self):
        self.look(SETTLED)
        self.here.clear()
        self.look(PATIENCE - 1)
        self.here.add(self.connector.id)
        self.assertEqual(self.look(1), [])
        self.here.clear()
        self.assertEqual(self.look(PATIENCE - 1), [])

    def test_a_muted_site_with_its_targets(self):
        self.look(SETTLED)
        self.here.clear()
        self.failing = {self.world.tunnel.id: "refused"}
        self.store.write(sites.update, self.site.id, {"muted": True})
        self.look()
        self.assertEqual(self.look(PATIENCE), [])
        self.store.write(sites.update, self.site.id, {"muted": False})
        self.look()
        self.assertEqual(len(self.look(PATIENCE)), 2)
        self.store.write(sites.update, self.site.id, {"muted": True})
        self.assertEqual(self.look(PATIENCE), [])

    def test_a_site_that_is_deleted_is_not_back(self):
        self.look(SETTLED)
        self.here.clear()
        self.look()
        self.look(PATIENCE)
        self.store.write(sites.delete, self.site.id)
        self.assertEqual(self.look(60), [])

    def test_a_target_that_fails(self):
        self.look(SETTLED)
        self.failing = {self.world.tunnel.id: "10.0.0.5:5432: refused"}
        self.look()
        name = self.world.tunnel.name
        self.assertEqual(
            self.look(PATIENCE),
            [("target.failing", f"the target of {name} doesn't answer: 10.0.0.5:5432: refused")],
        )
        self.failing = {}
        told = self.look(PATIENCE)
        self.assertEqual(told, [("target.back", f"the target of {name} answers again after 2 min")])
        self.failing = {self.world.tunnel.id: "refused"}
        self.store.write(tunnels.update, self.world.tunnel.id, {"enabled": False})
        self.look()
        self.assertEqual(self.look(PATIENCE), [])

    def test_of_two_pods_one_tells(self):
        other = self.make("pod-2")
        self.look(SETTLED, other)
        self.here.clear()
        self.look(0, other)
        self.assertEqual(len(self.look(PATIENCE, other)), 1)
        self.here.add(self.connector.id)
        self.assertEqual([kind for kind, _ in self.look(30, other)], ["site.back"])

    def test_a_pod_that_starts_again_tells_nothing_twice_and_ends_nothing_at_once(self):
        self.look(SETTLED)
        self.here.clear()
        self.look()
        self.look(PATIENCE)
        self.pod = self.make("pod-1")
        self.here.add(self.connector.id)  # it attached at once
        self.assertEqual(self.look(1), [])
        self.here.clear()
        self.look(1)
        self.assertEqual(self.look(PATIENCE), [])
        self.here.add(self.connector.id)
        self.assertEqual([kind for kind, _ in self.look(SETTLED)], ["site.back"])

    def test_certificates_and_the_disk(self):
        self.assertEqual(self.look(), [])
        self.late, self.full = True, 0.91
        self.ends = {self.world.tunnel.id: self.now() + 13 * DAY}
        self.authority_ends = self.now() + 80 * DAY
        told = self.look()
        self.assertEqual(
            [kind for kind, _ in told],
            ["certificate.ending"] * 3 + ["disk.filling"],
        )
        self.assertIn("pod pod-1 is 91% full", told[-1][1])
        self.assertEqual(self.look(60), [])
        self.late, self.full, self.ends = False, 0.2, {}
        self.assertEqual(self.look(SETTLED), [])

    def record(self, name, **fields):
        event = AuditEvent(name, **fields)
        self.pod.committed(Committed((), (AuditRecord("evt_1", self.now(), event),)))
        return self.told.notices

    def test_a_request_that_waits(self):
        (notice,) = self.record(
            "request.created",
            user_name="alice",
            tunnel_name="db",
            data={"request_id": "req_1", "reason": "an incident"},
        )
        self.assertEqual(notice["text"], "alice asks to open db: an incident")
        self.assertEqual(notice["link"], "https://portal/requests/req_1")
        self.assertEqual((notice["kind"], notice["pod"]), ("request.waiting", "pod-1"))

    def asks(self, number, user="alice", **data):
        fields = {"user_id": f"usr_{user}", "user_name": user, "tunnel_name": "db"}
        return self.record(
            "request.created", **fields, data={"request_id": f"req_{number}", **data}
        )

    def test_a_request_that_its_user_confirms_alone(self):
        self.asks(1, approval="self")
        self.assertEqual(self.told.taken(), [])
        self.asks(2, approval="others")
        self.assertEqual(len(self.told.taken()), 1)

    def test_an_emergency_is_told_each_time(self):
        for number in range(2 * MOST_OF_USER):
            self.record(
                "emergency.begun",
                user_id="usr_alice",
                user_name="alice",
                tunnel_name="db",
                data={"grant_id": f"gra_{number}", "reason": "an outage", "seconds": 600},
            )
        self.assertEqual(self.told.notices[-1]["link"], f"https://portal/grants/gra_{number}")
        told = self.told.taken()
        self.assertEqual(len(told), 2 * MOST_OF_USER)
        text = "alice has opened db in an emergency: an outage"
        self.assertEqual(told[0], ("emergency.begun", text))

    def test_one_user_fills_nobodys_mailbox(self):
        for number in range(500):
            self.asks(number)
        told = self.told.taken()
        self.assertEqual(len(told), MOST_OF_USER)
        self.assertIn("more by alice is not told", told[-1][1])
        self.assertNotIn("is not told", told[-2][1])
        self.asks(1, "bob")
        self.assertEqual(len(self.told.taken()), 1, "another's are")
        self.pod.reactor.advance(HOUR)
        self.asks(1)
        self.assertEqual([text for _, text in self.told.taken()], ["alice asks to open db"])

    def test_requests_hide_no_login_from_a_new_network(self):
        """Whoever has stolen a portal's session asks for much, and then logs in."""
        alice = self.world.alice
        for source in ("192.0.2.7", "198.51.100.1"):
            one = evolve(login(pod_id=self.pod.pod[0]), source_ip=source)
            session = self.store.write(sessions.start, alice, SessionMethod.KEY, one)
            self.clock.advance(1)
        for number in range(2 * MOST_OF_USER):
            self.record(
                "request.created",
                user_id=alice.id,
                user_name=alice.name,
                tunnel_name="db",
                data={"request_id": f"req_{number}"},
            )
        self.told.taken()
        self.record(
            "login.succeeded",
            user_id=alice.id,
            user_name=alice.name,
            session_id=session.id,
            source_ip="198.51.100.1",
            data={"method": "key"},
        )
        self.assertEqual([kind for kind, _ in self.told.taken()], ["login.new_network"])

    def test_a_login_from_a_new_network(self):
        alice = self.world.alice
        for source, told in (
            ("192.0.2.7", 0),  # their first ever
            ("192.0.2.200", 0),
            ("198.51.100.1", 1),
            ("198.51.100.9", 0),
            ("2001:db8:1:1::1", 1),
            ("2001:db8:1:2::1", 0),
        ):
            self.told.notices.clear()
            one = evolve(login(pod_id=self.pod.pod[0]), source_ip=source)
            session = self.store.write(sessions.start, alice, SessionMethod.KEY, one)
            self.clock.advance(1)
            found = self.record(
                "login.succeeded",
                user_id=alice.id,
                user_name=alice.name,
                session_id=session.id,
                source_ip=source,
                data={"method": "key"},
            )
            self.assertEqual(len(found), told, source)

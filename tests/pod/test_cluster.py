"""A pod among others: whoever comes, moves or goes is heard of, and connectors are told."""

from attrs import evolve
from sqlalchemy import text
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW
from tests.logs import logged
from tests.store.databases import SQLiteCase
from tests.store.material import MovingClock, make_world
from tests.web.support import QueuedReactor
from tunnelcloud.domain.entities import Pod, SessionMethod
from tunnelcloud.pod.cluster import DEAF_SECONDS, DRAINING, SILENT_SECONDS, Cluster, Seat
from tunnelcloud.pod.database_clock import DatabaseClock
from tunnelcloud.pod.health import Health
from tunnelcloud.pod.name_claim import take_seat
from tunnelcloud.store import connectors, pods, sessions, sites
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import StoreUnavailable, Trouble
from tunnelcloud.store.pods import Registration
from tunnelcloud.store.transaction import Change, Resync

PAGES = text("PRAGMA page_count")


def fill(transaction):
    pods.probe(transaction, "pod_other", bytes(10**6))


class StillFeed:
    def up_for(self):
        return 0.0


SEAT = Seat(
    "pod_one", Registration("one", "1", "one.example.com:2222", "one.example.com:8443", "first")
)


def pod(name, connectors_address):
    return Pod(
        id=f"pod_{name}",
        name=name,
        version="1",
        started_at=NOW,
        last_seen_at=NOW,
        ssh_address=f"{name}.example.com:2222",
        connectors_address=connectors_address,
    )


class Feed:
    def __init__(self):
        self.subscribers = []

    def subscribe(self, heard):
        self.subscribers.append(heard)

    def start(self):
        pass

    def tell(self, change):
        for heard in self.subscribers:
            heard(change)


class Store:
    """Answers whatever is read of pods with those that are there."""

    def __init__(self, *pods):
        self.pods = list(pods)
        self.reads = 0

    def read(self, function):
        self.reads += 1
        return succeed(list(self.pods) if function.__name__ == "alive" else [])


class PodsTests(SynchronousTestCase):
    def setUp(self):
        self.store, self.feed = Store(pod("one", "one.example.com:8443")), Feed()
        self.clock = Clock()
        health = Health(self.clock, lambda: 0.0, DEAF_SECONDS)
        self.cluster = Cluster(self.store, self.feed, SEAT, health, DatabaseClock(self.clock))
        self.told = []
        self.cluster.start(
            lambda change: None,
            lambda: self.told.append([str(one) for one in self.cluster.connectors_addresses()]),
        )

    def notice(self):
        self.feed.tell(Change("pod", "pod_two"))

    def test_a_pod_that_starts_last_is_announced(self):
        self.store.pods.append(pod("two", "two.example.com:8443"))
        self.notice()
        self.assertEqual(self.told, [["one.example.com:8443", "two.example.com:8443"]])

    def test_a_pod_that_moves(self):
        self.store.pods.append(pod("two", "two.example.com:8443"))
        self.notice()
        self.store.pods[1] = evolve(self.store.pods[1], connectors_address="moved.example.com:443")
        self.notice()
        self.assertEqual(self.told[-1], ["one.example.com:8443", "moved.example.com:443"])

    def test_a_pod_that_goes_for_good(self):
        self.store.pods.append(pod("two", "two.example.com:8443"))
        self.notice()
        self.store.pods.pop()
        self.notice()
        self.assertEqual(self.told[-1], ["one.example.com:8443"])

    def test_what_was_missed_is_found_at_the_resync(self):
        self.store.pods.append(pod("two", "two.example.com:8443"))
        self.feed.tell(Resync())
        self.assertEqual(len(self.told), 1)

    def test_nobody_is_told_the_same_twice(self):
        for _ in range(3):
            self.notice()
        self.assertEqual(self.told, [])
        reads = self.store.reads
        self.feed.tell(Change("site", "sit_1"))
        self.assertEqual(self.store.reads, reads)

    def test_a_drain_is_heard_of_and_its_end(self):
        self.assertEqual(self.cluster.refusal(), "")
        for draining, refusal in ((True, DRAINING), (False, "")):
            self.store.pods[0] = evolve(self.store.pods[0], draining=draining)
            self.feed.tell(Change("pod", "pod_one"))
            self.assertEqual(self.cluster.refusal(), refusal)

    def test_a_pod_that_signs_off_says_nothing_of_taking_sessions_again(self):
        def sign_off():
            self.store.pods[0] = evolve(self.store.pods[0], draining=True)
            self.feed.tell(Change("pod", "pod_one"))
            del self.store.pods[0]
            self.feed.tell(Change("pod", "pod_one"))

        told = logged(sign_off)
        self.assertIn("this pod is drained", told)
        self.assertNotIn("takes new sessions again", told)


class BeatTests(SQLiteCase):
    """Heartbeats, with the real store."""

    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.reactor = QueuedReactor()
        self.health = Health(self.reactor.time, lambda: 0.0, DEAF_SECONDS)
        self.attached = frozenset()
        seat = take_seat(self.store, evolve(SEAT.registration, home="home"), shared=True)
        self.pod_id = seat.pod_id
        store = AsyncStore(self.store, self.reactor, write_failed=self.health.write_failed)
        self.time = DatabaseClock(self.reactor.time)
        self.cluster = Cluster(
            store, StillFeed(), seat, self.health, self.time, lambda: self.attached
        )

    def beat(self):
        done = self.cluster.beat()
        while not done.called:
            self.reactor.run_one()
        return done

    def test_a_pod_whose_lease_was_taken_says_so_and_takes_part_anew(self):
        self.successResultOf(self.beat())
        self.clock.advance(60)
        registration = evolve(SEAT.registration, home="elsewhere", incarnation="second")
        other = self.store.write(pods.register, registration, shared=True)
        said = logged(lambda: self.successResultOf(self.beat()))
        self.assertIn("another pod took the lease of this pod", said)
        present = {pod.id: pod for pod in self.store.read(pods.alive)}
        self.assertEqual(set(present), {other.id, self.pod_id})
        self.assertIn(present[self.pod_id].name, said)
        self.assertEqual(logged(lambda: self.successResultOf(self.beat())), "")

    def test_each_brings_the_databases_time(self):
        for _ in range(2):
            self.clock.advance(3600)
            self.successResultOf(self.beat())
            self.assertEqual(self.time.now(), self.clock.moment)

    def test_presence(self):
        site = self.store.write(sites.create, name="paris")
        connector = self.store.write(connectors.create, name="one", site_id=site.id)
        self.attached = frozenset({connector.id})
        for _ in range(2):
            self.successResultOf(self.beat())
            self.assertEqual(self.cluster.presence(connector.id), (1, 1))
        self.attached = frozenset()
        self.successResultOf(self.beat())
        self.assertEqual(self.cluster.presence(connector.id), (0, 1))

    def test_a_disk_that_is_full(self):
        self.successResultOf(self.beat())
        self.assertIsNone(self.health.why_not_writing())
        pages = self.store.write(lambda one: one.connection.execute(PAGES).scalar())
        self.clock.advance(1)
        self.limit(pages)
        try:
            failed = self.store.write_soon(fill).exception(timeout=10)
            self.health.write_failed(failed)
            self.assertIs(failed.trouble, Trouble.FULL)
            self.failureResultOf(self.beat(), StoreUnavailable)
            self.assertIn("no room left on its disk", self.health.why_not_writing())
        finally:
            self.limit(2**30)
        self.successResultOf(self.beat())
        self.assertIsNone(self.health.why_not_writing())

    def limit(self, pages):
        self.store.write(lambda one: one.connection.execute(text(f"PRAGMA max_page_count={pages}")))

    def test_sessions_that_others_took_for_dead(self):
        world = self.store.write(make_world)
        login = sessions.LoginRecord("alice", "192.0.2.1", "x", self.pod_id)
        one, two = (
            self.store.write(sessions.start, world.alice, SessionMethod.KEY, login)
            for _ in range(2)
        )
        for session in (one, two):
            self.store.write(sessions.end, session.id, reason="reaped")
        # The second ends while its record is opened.
        open_here = iter([{one.id, two.id}, {one.id, two.id}, {one.id}])
        self.cluster._open = lambda: (frozenset(next(open_here)), frozenset())
        done = self.cluster.reconcile()
        for _ in range(3):
            self.reactor.run_one()
        self.assertEqual(self.successResultOf(done), [])
        self.assertEqual(self.store.read(sessions.closed, [one.id, two.id]), [two.id])

    def test_what_many_sessions_left_is_closed_beside_the_heartbeats(self):
        self.patch(pods, "REAPED_AT_ONCE", 2)
        self.patch(StillFeed, "up_for", lambda _: SILENT_SECONDS)
        self.successResultOf(self.beat())
        world = self.store.write(make_world)
        login = sessions.LoginRecord("alice", "192.0.2.1", "x", "pod_gone")
        left = [
            self.store.write(sessions.start, world.alice, SessionMethod.KEY, login).id
            for _ in range(7)
        ]
        self.successResultOf(self.beat())
        self.assertTrue(self.cluster._reaping)
        for _ in range(3):
            self.reactor.run_one()
        self.assertFalse(self.cluster._reaping)
        self.assertEqual(len(self.store.read(sessions.closed, left)), 7)

    def test_nobody_closes_what_was_opened_again_before_the_next_heartbeat(self):
        self.successResultOf(self.beat())
        world = self.store.write(make_world)
        login = sessions.LoginRecord("alice", "192.0.2.1", "x", self.pod_id)
        session = self.store.write(sessions.start, world.alice, SessionMethod.KEY, login)
        self.clock.advance(SILENT_SECONDS + 10)
        self.store.write(pods.reap, silent_seconds=SILENT_SECONDS)
        self.assertEqual(self.store.read(sessions.closed, [session.id]), [session.id])
        self.cluster._open = lambda: (frozenset({session.id}), frozenset())
        done = self.cluster.reconcile()
        for _ in range(2):
            self.reactor.run_one()
        self.assertEqual(self.successResultOf(done), [])
        self.store.write(pods.reap, silent_seconds=SILENT_SECONDS)
        self.assertEqual(self.store.read(sessions.closed, [session.id]), [])

"""Pods come, go and die; what they left open is closed."""

from __future__ import annotations

from datetime import timedelta

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import events_of
from tests.store.records import RecordCase
from tunnelcloud.store import attached_connectors, channels, connectors, pods, sessions, user_views
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.pods import NameInUse, Registration


class PodContract(RecordCase):
    def registration(self, name="pod-1", host="", home="home", incarnation="first"):
        host = host or f"{name}.example.com"
        return Registration(
            name=name,
            version="0.1.0",
            ssh_address=f"{host}:2222",
            connectors_address=f"{host}:8443",
            incarnation=incarnation,
            home=home,
        )

    def register(self, name="pod-1", *, shared=True, instead_of=None, **options):
        registration = self.registration(name, **options)
        return self.store.write(pods.register, registration, shared=shared, instead_of=instead_of)

    def renew(self, pod):
        return self.store.write(pods.renew, pod.id, pod.incarnation)

    def test_a_name_in_use_is_refused_whatever_the_addresses(self):
        first = self.register()
        session = self.start(pod_id=first.id)
        for host in ("other.example.com", ""):
            error = self.assertRaises(NameInUse, self.register, host=host, home="elsewhere")
            self.assertIn("in use by the pod at pod-1.example.com:8443", str(error))
        self.assertIsNone(self.store.read(sessions.get, session.id).ended_at)

    def test_a_name_whose_lease_is_over_is_taken_by_a_pod_of_its_own(self):
        first = self.register()
        self.clock.advance(31)
        second = self.register(home="elsewhere", incarnation="second")
        self.assertNotEqual(second.id, first.id)
        self.assertEqual(second.name, "pod-1")
        self.assertFalse(self.renew(first))
        self.assertTrue(self.renew(second))

    def test_a_process_that_is_known_to_be_dead_needs_no_patience(self):
        first = self.register()
        second = self.register(home="elsewhere", incarnation="second", instead_of="first")
        self.assertNotEqual(second.id, first.id)

    def test_a_pod_whose_lease_was_taken_takes_part_anew_with_what_it_has_open(self):
        first = self.register()
        session = self.start(pod_id=first.id)
        self.clock.advance(31)
        second = self.register(home="elsewhere", incarnation="second")
        self.assertFalse(self.renew(first))
        again = self.store.write(pods.rejoin, first.id, self.registration(incarnation="third"))
        self.assertEqual((again.id, again.incarnation), (first.id, "third"))
        self.assertTrue(again.name.startswith("pod-1-"))
        self.assertTrue(self.renew(again))
        self.assertTrue(self.renew(second))
        self.assertEqual([pod.id for pod in self.store.read(pods.alive)], [second.id, first.id])
        self.assertIsNone(self.store.read(sessions.get, session.id).ended_at)

    def test_a_pod_that_was_deleted_while_it_was_away_takes_part_anew(self):
        pod = self.register()
        self.assertRaises(Conflict, self.store.write, pods.remove, pod.id)
        self.clock.advance(31)
        self.store.write(pods.remove, pod.id)
        self.assertFalse(self.renew(pod))
        again = self.store.write(pods.rejoin, pod.id, self.registration(incarnation="second"))
        self.assertEqual((again.id, again.name), (pod.id, "pod-1"))

    def test_a_clock_that_went_back_keeps_no_dead_pod_alive(self):
        self.register()
        self.clock.advance(-86_400)
        self.assertEqual(self.store.read(pods.alive), [])
        self.register(home="elsewhere", incarnation="second")

    def test_pods_that_are_gone_are_forgotten(self):
        gone, here = self.register(), self.register("pod-2")
        self.store.write(pods.probe, gone.id, b"filler")
        self.clock.advance(86_400)
        self.renew(here)
        forgotten = self.store.write(pods.forget, self.clock.moment - timedelta(hours=1))
        self.assertEqual(forgotten, 1)
        self.assertEqual([pod.id for pod in self.store.read(pods.list_page).items], [here.id])

    def test_connectors_that_have_links_to_several_pods(self):
        first, second = self.register(), self.register("pod-2")
        site = self.world.tunnel.site_id
        one, two = (
            self.store.write(connectors.create, name=name, site_id=site).id
            for name in ("one", "two")
        )
        for pod, ids in ((first, {one, two}), (second, {one, "con_deleted"})):
            self.store.write(attached_connectors.note, pod.id, ids)
        self.assertEqual(self.store.read(attached_connectors.counts), {one: 2, two: 1})
        self.store.write(attached_connectors.note, first.id, {two})
        self.assertEqual(self.store.read(attached_connectors.counts), {one: 1, two: 1})
        self.clock.advance(31)
        self.renew(second)
        self.assertEqual(self.store.read(attached_connectors.counts), {one: 1})

    def test_a_pod_keeps_its_id_with_its_name(self):
        first, second = self.register(), self.register("pod-2")
        self.assertNotEqual(first.id, second.id)
        self.clock.advance(10)
        again = self.register()
        self.assertEqual(again.id, first.id)
        self.assertEqual(again.started_at, self.clock.moment)

    def test_pods_that_are_heard_of_are_alive(self):
        first, second = self.register(), self.register("pod-2")
        self.clock.advance(20)
        self.assertTrue(self.renew(first))
        self.clock.advance(15)
        alive = self.store.read(pods.alive)
        self.assertEqual([pod.id for pod in alive], [first.id])
        self.assertFalse(self.store.write(pods.renew, "pod_none", "first"))
        self.assertTrue(self.renew(second))

    def test_a_pod_is_drained_and_taken_up_again(self):
        pod = self.register()
        for draining, event in ((True, "pod.drained"), (False, "pod.resumed")):
            for _ in range(2):
                drained = self.store.write(pods.drain, pod.id, draining)
                self.assertEqual(drained.draining, draining)
            self.assertEqual(self.store.read(events_of).count(event), 1)
        self.store.write(pods.drain, pod.id, True)
        self.assertFalse(self.register().draining)

    def test_a_pod_that_left_is_not_there(self):
        pod = self.register()
        session = self.start(pod_id=pod.id)
        self.store.write(pods.leave, pod.id, reason="stopped")
        self.assertEqual(self.store.read(pods.alive), [])
        self.assertFalse(self.renew(pod))
        self.assertEqual(self.store.read(sessions.get, session.id).end_reason, "stopped")
        self.assertEqual(self.store.read(events_of)[-1], "pod.stopped")
        self.assertEqual(self.register().id, pod.id)
        self.assertEqual(len(self.store.read(pods.alive)), 1)

    def test_a_pod_that_starts_again_closes_what_it_left(self):
        pod = self.register()
        session = self.start(pod_id=pod.id)
        channel = self.open_channel(session)
        other = self.start(pod_id="pod_other")
        self.register()
        self.assertIn("started again", self.store.read(sessions.get, session.id).end_reason)
        self.assertIsNotNone(self.store.read(channels.get, channel.id).closed_at)
        self.assertIsNone(self.store.read(sessions.get, other.id).ended_at)

    def test_the_reaper_closes_so_many_at_a_time(self):
        """All at once of thousands took longer than a heartbeat may, so none was ever closed."""
        self.patch(pods, "REAPED_AT_ONCE", 2)
        left = [self.start(pod_id="pod_gone") for _ in range(3)]
        closed = [self.store.write(pods.reap, silent_seconds=30) for _ in range(3)]
        self.assertEqual(closed, [2, 1, 0])
        ids = [one.id for one in left]
        self.assertEqual(sorted(self.store.read(sessions.closed, ids)), sorted(ids))

    def test_the_reaper_closes_what_a_dead_pod_left(self):
        dead, well = self.register(), self.register("pod-2")
        left, lost = self.start(pod_id=dead.id), self.start(pod_id="pod_gone")
        kept = self.start(pod_id=well.id)
        channel = self.open_channel(left)
        self.store.write(sessions.sync_traffic, {left.id: (5, 6)}, {channel.id: (5, 6)})
        self.clock.advance(31)
        self.renew(well)
        self.assertEqual(self.store.write(pods.reap, silent_seconds=30), 2)
        self.assertEqual(self.store.write(pods.reap, silent_seconds=30), 0)
        found = self.store.read(sessions.get, left.id)
        self.assertEqual(found.end_reason, "the pod that served it stopped")
        self.assertEqual(found.bytes_to_target, 5)
        self.assertIsNotNone(self.store.read(sessions.get, lost.id).ended_at)
        self.assertIsNone(self.store.read(sessions.get, kept.id).ended_at)
        self.assertEqual(self.store.read(channels.get, channel.id).bytes_from_target, 6)
        self.assertEqual(self.store.read(user_views.names_of, "pod", [dead.id]), {dead.id: "pod-1"})


class SQLitePodTests(PodContract, SQLiteCase):
    pass


class PostgresPodTests(PodContract, PostgresCase):
    pass

"""Pods come, go and die; what they left open is closed."""

from __future__ import annotations

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import events_of
from tests.store.records import RecordCase
from tunnelcloud.store import access, channels, pods, sessions
from tunnelcloud.store.errors import Conflict


class PodContract(RecordCase):
    def register(self, name="pod-1", host="", **options):
        host = host or f"{name}.example.com"
        return self.store.write(
            pods.register,
            name=name,
            version="0.1.0",
            ssh_address=f"{host}:2222",
            connectors_address=f"{host}:8443",
            **options,
        )

    def test_a_name_in_use_by_another_pod_is_refused(self):
        first = self.register(shared=True)
        session = self.start(pod_id=first.id)
        error = self.assertRaises(Conflict, self.register, host="other.example.com", shared=True)
        self.assertIn("in use by the pod at pod-1.example.com:8443", str(error))
        self.assertIsNone(self.store.read(sessions.get, session.id).ended_at)
        self.assertEqual(self.register(shared=True).id, first.id)
        self.clock.advance(31)
        self.assertEqual(self.register(host="other.example.com", shared=True).id, first.id)
        self.store.write(pods.leave, first.id, reason="stopped")
        self.assertEqual(self.register(host="third.example.com", shared=True).id, first.id)

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
        self.assertTrue(self.store.write(pods.heartbeat, first.id))
        alive = self.store.read(pods.alive, within_seconds=15)
        self.assertEqual([pod.id for pod in alive], [first.id])
        self.assertFalse(self.store.write(pods.heartbeat, "pod_none"))
        self.assertTrue(self.store.write(pods.heartbeat, second.id, draining=True))
        self.assertTrue(self.store.read(pods.get, second.id).draining)

    def test_a_pod_that_left_is_not_there(self):
        pod = self.register()
        session = self.start(pod_id=pod.id)
        self.store.write(pods.leave, pod.id, reason="stopped")
        self.assertEqual(self.store.read(pods.alive, within_seconds=15), [])
        self.assertFalse(self.store.write(pods.heartbeat, pod.id))
        self.assertEqual(self.store.read(sessions.get, session.id).end_reason, "stopped")
        self.assertEqual(self.store.read(events_of)[-1], "pod.stopped")
        self.assertEqual(self.register().id, pod.id)
        self.assertEqual(len(self.store.read(pods.alive, within_seconds=15)), 1)

    def test_a_pod_that_starts_again_closes_what_it_left(self):
        pod = self.register()
        session = self.start(pod_id=pod.id)
        channel = self.open_channel(session)
        other = self.start(pod_id="pod_other")
        self.register()
        self.assertIn("started again", self.store.read(sessions.get, session.id).end_reason)
        self.assertIsNotNone(self.store.read(channels.get, channel.id).closed_at)
        self.assertIsNone(self.store.read(sessions.get, other.id).ended_at)

    def test_the_reaper_closes_what_a_dead_pod_left(self):
        dead, well = self.register(), self.register("pod-2")
        left, lost = self.start(pod_id=dead.id), self.start(pod_id="pod_gone")
        kept = self.start(pod_id=well.id)
        channel = self.open_channel(left)
        self.store.write(sessions.sync_traffic, {left.id: (5, 6)}, {channel.id: (5, 6)})
        self.clock.advance(31)
        self.store.write(pods.heartbeat, well.id)
        self.assertEqual(self.store.write(pods.reap, silent_seconds=30), 2)
        self.assertEqual(self.store.write(pods.reap, silent_seconds=30), 0)
        found = self.store.read(sessions.get, left.id)
        self.assertEqual(found.end_reason, "the pod that served it stopped")
        self.assertEqual(found.bytes_to_target, 5)
        self.assertIsNotNone(self.store.read(sessions.get, lost.id).ended_at)
        self.assertIsNone(self.store.read(sessions.get, kept.id).ended_at)
        self.assertEqual(self.store.read(channels.get, channel.id).bytes_from_target, 6)
        self.assertEqual(self.store.read(access.names_of, "pod", [dead.id]), {dead.id: "pod-1"})


class SQLitePodTests(PodContract, SQLiteCase):
    pass


class PostgresPodTests(PodContract, PostgresCase):
    pass

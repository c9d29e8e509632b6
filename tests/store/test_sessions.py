"""Sessions and channels: written down before they begin, closed once, whatever happens."""

from __future__ import annotations

from datetime import timedelta

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.records import RecordCase
from tunnelcloud.store import channels, session_reopening, sessions, tunnels, users
from tunnelcloud.store.column_types import plain
from tunnelcloud.store.errors import NotFound


class SessionContract(RecordCase):
    def test_a_session_from_start_to_end(self):
        session = self.start(key_fingerprint="SHA256:x")
        self.assertEqual(self.store.read(sessions.get, session.id), session)
        self.clock.advance(90)
        ended = self.store.write(sessions.end, session.id, reason="client left", traffic=(7, 2**40))
        self.assertTrue(ended)
        found = self.store.read(sessions.get, session.id)
        self.assertEqual(found.ended_at - found.started_at, timedelta(seconds=90))
        self.assertEqual(found.bytes_from_target, 2**40)
        [event] = self.events("session.ended")
        self.assertEqual(
            event.data,
            {
                "reason": "client left",
                "bytes_to_target": 7,
                "bytes_from_target": 2**40,
                "seconds": 90.0,
            },
        )

    def test_a_session_ends_once(self):
        session = self.start()
        self.assertTrue(self.store.write(sessions.end, session.id, reason="first"))
        self.assertFalse(self.store.write(sessions.end, session.id, reason="second"))
        self.assertEqual(self.store.read(sessions.get, session.id).end_reason, "first")
        self.assertEqual(len(self.events("session.ended")), 1)

    def test_a_channel_from_open_to_close(self):
        session = self.start()
        channel = self.open_channel(session)
        self.assertEqual(self.store.read(channels.get, channel.id), channel)
        closed = self.store.write(
            channels.close,
            channel.id,
            reason="",
            bytes_to_target=1,
            bytes_from_target=2,
            connector_id="con_2",
        )
        self.assertTrue(closed)
        found = self.store.read(channels.get, channel.id)
        self.assertEqual(found.connector_id, "con_2")
        self.assertEqual((found.bytes_to_target, found.bytes_from_target), (1, 2))
        self.assertEqual(self.events("channel.opened"), [])
        [event] = self.events("channel.closed")
        self.assertEqual((event.user_name, event.tunnel_name), ("alice", "db"))
        self.assertEqual(event.session_id, session.id)
        self.assertEqual(event.data["channel_id"], channel.id)
        self.assertEqual(event.data["opened_at"], plain(channel.opened_at))

    def test_a_channel_that_stays(self):
        session = self.start()
        channel = self.open_channel(session)
        self.clock.advance(1)
        self.store.write(channels.say_opened, session, self.world.tunnel, channel)
        [opened] = self.events("channel.opened")
        self.assertEqual((opened.user_name, opened.tunnel_name), ("alice", "db"))
        self.assertEqual(opened.session_id, session.id)
        self.assertEqual(
            opened.data,
            {
                "channel_id": channel.id,
                "destination": "10.0.0.5",
                "port": 5432,
                "opened_at": plain(channel.opened_at),
            },
        )

    def test_whoever_closes_it_the_audit_has_it(self):
        """A pod that died has said nothing of a channel's opening."""
        session = self.start()
        channel = self.open_channel(session)
        self.store.write(sessions.end, session.id, reason="the pod that served it stopped")
        [event] = self.events("channel.closed")
        self.assertEqual((event.user_id, event.source_ip), (session.user_id, session.source_ip))
        self.assertEqual(event.data["destination"], "10.0.0.5")
        self.assertEqual(event.data["opened_at"], plain(channel.opened_at))

    def test_a_session_that_ends_closes_its_channels(self):
        session, other = self.start(), self.start()
        channel, kept = self.open_channel(session), self.open_channel(other)
        self.store.write(sessions.end, session.id, reason="cut")
        self.assertEqual(self.store.read(channels.get, channel.id).close_reason, "cut")
        self.assertIsNone(self.store.read(channels.get, kept.id).closed_at)

    def reopen(self, session, *opened, pod_id="pod_1"):
        ids = {one.id for one in opened}
        return self.store.write(session_reopening.reopen, pod_id, {session.id}, ids)

    def test_what_lives_is_opened_again(self):
        session = self.start()
        here, over = self.open_channel(session), self.open_channel(session)
        self.store.write(sessions.end, session.id, reason="the pod that served it stopped")
        self.assertEqual(self.reopen(session, here, pod_id="pod_2"), [])
        self.assertEqual(self.store.read(sessions.closed, [session.id]), [session.id])
        for _ in range(2):
            self.assertEqual(self.reopen(session, here), [])
            self.assertEqual(self.store.read(sessions.get, session.id), session)
            self.assertIsNone(self.store.read(channels.get, here.id).closed_at)
            self.assertIsNotNone(self.store.read(channels.get, over.id).closed_at)
            self.assertEqual(len(self.events("session.reopened")), 1)
        self.assertTrue(self.store.write(sessions.end, session.id, reason="left"))

    def test_what_somebody_wanted_ended_stays_closed(self):
        session = self.start()
        channel = self.open_channel(session)
        self.store.write(sessions.request_end, session.id, "ended by root")
        self.store.write(sessions.end, session.id, reason="the pod that served it stopped")
        [wanted] = self.reopen(session, channel)
        self.assertEqual((wanted.kind, wanted.reason), ("session", "ended by root"))
        self.assertEqual(self.store.read(sessions.closed, [session.id]), [session.id])
        self.assertIsNotNone(self.store.read(channels.get, channel.id).closed_at)

    def test_a_channel_that_somebody_wanted_ended(self):
        session = self.start()
        channel = self.open_channel(session)
        self.store.write(channels.request_end, channel.id, "ended by root")
        self.store.write(sessions.end, session.id, reason="the pod that served it stopped")
        [wanted] = self.reopen(session, channel)
        self.assertEqual((wanted.kind, wanted.id), ("channel", channel.id))
        self.assertEqual(self.store.read(sessions.closed, [session.id]), [])
        self.assertIsNotNone(self.store.read(channels.get, channel.id).closed_at)

    def test_a_refused_channel_leaves_an_event_and_no_channel(self):
        session = self.start()
        self.store.write(
            channels.refuse, session, None, destination="nowhere", port=1, reason="no such thing"
        )
        [event] = self.events("channel.refused")
        self.assertEqual(event.data["reason"], "no such thing")
        self.assertIsNone(event.tunnel_id)
        self.assertEqual(self.store.read(channels.count), 0)

    def test_traffic_is_written_while_it_flows(self):
        session = self.start()
        channel = self.open_channel(session)
        self.store.write(sessions.sync_traffic, {session.id: (10, 20)}, {channel.id: (3, 4)})
        self.store.write(sessions.sync_traffic, {}, {})
        self.assertEqual(self.store.read(sessions.get, session.id).bytes_to_target, 10)
        self.assertEqual(self.store.read(channels.get, channel.id).bytes_from_target, 4)

    def test_late_traffic_does_not_change_what_is_closed(self):
        session = self.start()
        self.store.write(sessions.end, session.id, reason="", traffic=(100, 100))
        self.store.write(sessions.sync_traffic, {session.id: (10, 20)}, {})
        self.assertEqual(self.store.read(sessions.get, session.id).bytes_to_target, 100)

    def test_lists_can_be_narrowed(self):
        first = self.start(tunnel=self.world.tunnel)
        second = self.start(pod_id="pod_2")
        third = self.start(user=self.world.bob)
        self.open_channel(second)
        self.store.write(sessions.end, third.id, reason="")

        def ids(**filters):
            return {one.id for one in self.store.read(sessions.list_page, **filters).items}

        self.assertEqual(ids(live=True), {first.id, second.id})
        self.assertEqual(ids(live=False), {third.id})
        self.assertEqual(ids(user_id=self.world.bob.id), {third.id})
        self.assertEqual(ids(tunnel_id=self.world.tunnel.id), {first.id, second.id})
        self.assertEqual(ids(pod_id="pod_2"), {second.id})
        self.assertEqual(ids(q="BOB"), {third.id})
        self.assertEqual(ids(until=self.clock.moment), set())

    def test_history_outlives_what_it_is_about(self):
        session = self.start()
        channel = self.open_channel(session)
        self.store.write(tunnels.delete, self.world.tunnel.id)
        self.store.write(users.delete, self.world.alice.id)
        self.assertEqual(self.store.read(sessions.get, session.id), session)
        self.store.write(sessions.end, session.id, reason="user deleted")
        self.assertEqual(self.store.read(channels.get, channel.id).close_reason, "user deleted")
        [event] = self.events("channel.closed")
        self.assertEqual((event.user_name, event.tunnel_name), ("alice", "db"))

    def test_ending_is_asked_of_the_pod_that_serves(self):
        session, other = self.start(), self.start(pod_id="pod_2")
        channel = self.open_channel(session)
        heard = []
        self.store.listen(lambda committed: heard.extend(committed.changes))
        self.store.write(sessions.request_end, session.id, "ended by an administrator")
        self.store.write(channels.request_end, channel.id, "channel ended")
        self.assertEqual([one.kind for one in heard], ["session", "channel"])
        found = self.store.read(sessions.end_requests, "pod_1")
        self.assertEqual(
            [(one.kind, one.id, one.session_id, one.reason) for one in found],
            [
                ("session", session.id, session.id, "ended by an administrator"),
                ("channel", channel.id, session.id, "channel ended"),
            ],
        )
        self.assertEqual(self.store.read(sessions.end_requests, other.pod_id), [])
        self.store.write(sessions.end, session.id, reason="x")
        self.assertEqual(self.store.read(sessions.end_requests, "pod_1"), [])
        self.assertRaises(NotFound, self.store.write, sessions.request_end, "ses_none", "x")


class SQLiteSessionTests(SessionContract, SQLiteCase):
    pass


class PostgresSessionTests(SessionContract, PostgresCase):
    pass

"""A user's limits hold over all pods that live."""

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.records import RecordCase
from tunnelcloud.domain.user_limits import Limits
from tunnelcloud.store import channels, pods
from tunnelcloud.store.errors import LimitReached
from tunnelcloud.store.pods import Registration
from tunnelcloud.store.sessions import end
from tunnelcloud.store.user_limits import open_channel


class LimitContract(RecordCase):
    def setUp(self):
        super().setUp()
        self.pods = [self.register(f"pod-{number}") for number in (1, 2)]

    def register(self, name):
        addresses = (f"{name}.example.com:2222", f"{name}.example.com:8443")
        registration = Registration(name, "0.1.0", *addresses, incarnation=name, home=name)
        return self.store.write(pods.register, registration, shared=True).id

    def open_within(self, session, *, sessions=None, channels=None, here=(0, 0)):
        limits = Limits(sessions, channels, *here)
        return self.store.write(
            open_channel, session, self.world.tunnel, limits, destination="db", port=5432
        )

    def refused(self, session, **limits):
        return str(self.assertRaises(LimitReached, self.open_within, session, **limits))

    def test_sessions_of_other_pods_count(self):
        first, second = (self.start(pod_id=one) for one in self.pods)
        self.open_within(first, sessions=1)
        self.assertEqual(self.refused(second, sessions=1), "db: 1 of 1 sessions are open")
        self.open_within(second, sessions=2)
        self.assertEqual(self.store.read(channels.count), 2)

    def test_who_is_there_goes_on(self):
        """Whichever of them began first, the one that is in use is no newcomer."""
        first, second = (self.start(pod_id=one) for one in self.pods)
        self.open_within(second, sessions=1)
        self.refused(first, sessions=1)
        self.refused(first, sessions=1)
        self.open_within(second, sessions=1)

    def test_a_session_without_a_channel_takes_no_place(self):
        first, second = (self.start(pod_id=one) for one in self.pods)
        self.open_within(second, sessions=1)
        self.assertIsNone(first.ended_at)

    def test_channels_of_other_pods_count(self):
        first, second = (self.start(pod_id=one) for one in self.pods)
        opened = self.open_within(first, channels=2)
        self.open_within(second, channels=2)
        text = self.refused(second, channels=2, here=(0, 1))
        self.assertEqual(text, "db: 2 of 2 connections are open")
        self.store.write(
            channels.close, opened.id, reason="", bytes_to_target=0, bytes_from_target=0
        )
        self.open_within(second, channels=2, here=(0, 1))

    def test_another_user_has_limits_of_their_own(self):
        self.open_within(self.start(pod_id=self.pods[0]), sessions=1, channels=1)
        bobs = self.start(pod_id=self.pods[1], user=self.world.bob)
        self.open_within(bobs, sessions=1, channels=1)

    def test_a_pod_that_died_holds_nobody_up(self):
        self.open_within(self.start(pod_id=self.pods[0]), sessions=1)
        second = self.start(pod_id=self.pods[1])
        self.refused(second, sessions=1)
        self.clock.advance(31)
        self.store.write(pods.renew, self.pods[1], "pod-2")
        self.open_within(second, sessions=1)


class SQLiteLimitTests(LimitContract, SQLiteCase):
    pass


class PostgresLimitTests(LimitContract, PostgresCase):
    def test_pods_that_open_at_the_same_moment(self):
        """One of two gets the last place, in every round."""
        for _ in range(5):
            sessions = [self.start(pod_id=one) for one in self.pods]
            limits = Limits(1, None, 0, 0)
            racing = [
                self.store.write_soon(
                    open_channel, one, self.world.tunnel, limits, destination="db", port=5432
                )
                for one in sessions
            ]
            failed = [one.exception() for one in racing]
            self.assertEqual([str(one) for one in failed if one], ["db: 1 of 1 sessions are open"])
            for one in sessions:
                self.store.write(end, one.id, reason="over")

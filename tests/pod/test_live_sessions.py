"""What is counted of all that is open."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import grant, tunnel, view
from tests.pod.fakes import World
from tests.pod.test_enforcement import most_in_a_turn
from tunnelcloud.pod.live_session import LiveSession
from tunnelcloud.pod.session_bytes import Carried
from tunnelcloud.pod.work_in_turns import STEPS


class CountingTests(SynchronousTestCase):
    def setUp(self):
        self.world = World(view(grant(tunnel())), "con_1")

    def count(self):
        counting = self.world.sessions.count()
        self.world.clock.pump([0] * 5)
        return self.successResultOf(counting)

    def test_sessions_and_their_channels(self):
        client = self.world.open()
        target = self.world.links.links[0].answer()
        self.world.settle()
        client.write(100)
        target.write(50)
        self.world.settle()
        counts = self.count()
        [channel_id] = self.world.records.opened
        self.assertEqual(counts.of_sessions, {self.world.session.id: (100, 50)})
        self.assertEqual(counts.of_channels, {channel_id: (100, 50)})
        self.assertEqual(counts.carriers, {channel_id: "con_1"})
        self.assertEqual(counts.get(channel_id), (100, 50))
        self.assertEqual(counts.get("chn_of_before"), (0, 0))

    def test_a_session_that_comes_while_another_thread_counts_its_users(self):
        """Lists of tunnels are decided on away from the reactor, with what their user has open."""
        sessions = self.world.sessions
        [live] = sessions

        class Counted(LiveSession):
            @property
            def place(self):
                sessions.begin(evolve(self.session, id="ses_new"))
                return 1

        live.__class__ = Counted
        self.assertEqual(sessions.usage(live.session.user_id), (1, {}))

    def test_a_channel_that_is_not_recorded_yet(self):
        self.world.records.slow = True
        self.world.open()
        self.assertEqual(self.count().of_channels, {})

    def test_thousands_leave_turns_to_others(self):
        for number in range(1000):
            self.world.sessions.begin(evolve(self.world.session, id=f"ses_many{number}"))
        counted = []
        self.patch(Carried, "totals", lambda live: counted.append(live) or (0, 0))
        counting = self.world.sessions.count()
        most = most_in_a_turn(self.world.clock, lambda: len(counted), 1001)
        self.assertLessEqual(most, STEPS)
        self.world.clock.pump([0] * 5)
        self.assertEqual(len(self.successResultOf(counting).of_sessions), 1001)

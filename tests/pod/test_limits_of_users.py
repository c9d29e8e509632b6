"""What one user may have at once: policies' most sessions, and shares of the pod."""

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import grant, policy, tunnel, view
from tests.pod.fakes import World
from tunnelcloud.pod.live_sessions import TOO_FAST
from tunnelcloud.pod.session_information import TOO_MANY_CHECKS
from tunnelcloud.pod.user_shares import Shares, has_room

MAX_PENDING = Shares().pending


class SessionLimitTests(SynchronousTestCase):
    """``max_sessions`` refuses the newcomer, and cuts nobody."""

    def setUp(self):
        self.one = view(grant(tunnel("db"), policies=(policy(max_sessions=1),)))
        self.world = World(self.one, "con_1")
        self.second = self.world.sessions.begin(evolve(self.world.session, id="ses_2"))

    def open_second(self):
        first, self.world.live = self.world.live, self.second
        client = self.world.open()
        self.world.live = first
        return client

    def test_the_newcomer_is_refused_with_the_reason(self):
        client = self.world.open()
        self.world.links.links[0].answer()
        self.world.settle()
        refused = self.open_second()
        self.assertEqual(refused.failure, (1, "db: 1 of 1 sessions are open"))
        for live in (self.world.live, self.second):
            live.recheck(self.one)
        self.world.settle()
        self.assertTrue(client.is_open)
        self.assertIsNone(client.end)

    def test_a_list_alone_does_not_count(self):
        rows = self.successResultOf(self.second.information.tunnels())
        self.assertEqual(len(rows), 1)
        self.assertIsNone(self.world.open().failure)
        self.assertEqual(self.world.sessions.usage("usr_alice"), (1, {"tun_db": 1}))

    def test_when_the_first_is_over(self):
        self.world.open()
        self.assertIsNotNone(self.open_second().failure)
        self.world.live.logged_out("bye")
        self.world.settle()
        self.assertIsNone(self.open_second().failure)


class LimitsOverAllPodsTests(SynchronousTestCase):
    """What the store counts on other pods is refused as what this pod counts is."""

    def open(self, elsewhere, **limits):
        self.world = World(view(grant(tunnel("db"), policies=(policy(**limits),))), "con_1")
        self.world.records.elsewhere = elsewhere
        client = self.world.open()
        self.world.settle()
        return client

    def test_sessions(self):
        refused = self.open((1, 0), max_sessions=1)
        self.assertEqual(refused.failure, (1, "db: 1 of 1 sessions are open"))
        self.assertEqual(
            self.world.records.told[-1], ("refused", "db", 5432, "db: 1 of 1 sessions are open")
        )
        self.assertEqual(self.world.sessions.open_channels, 0)

    def test_channels(self):
        refused = self.open((0, 1), max_channels=2)
        self.assertIsNone(refused.failure)
        second = self.world.open()
        self.world.settle()
        self.assertEqual(second.failure, (1, "db: 2 of 2 connections are open"))

    def test_without_a_limit(self):
        self.assertIsNone(self.open((5, 5)).failure)


class ShareTests(SynchronousTestCase):
    """One user can't take what others share with them."""

    def room(self, **shares):
        world = World(view(grant(tunnel())), "con_1", shares=Shares(**shares))
        for pair in (world.client, world.links.links[0].pair):
            pair.a.max_channels = pair.b.max_channels = 5000
        return world

    def test_channels(self):
        world = self.room(channels=2)
        self.assertEqual([world.open().failure for _ in range(2)], [None] * 2)
        code, text = world.open().failure
        self.assertEqual(code, 4)
        self.assertIn("you have 2 connections open on this pod", text)

    def test_channels_of_one_target(self):
        world = self.room(per_target=2)
        self.assertEqual([world.open().failure for _ in range(2)], [None] * 2)
        self.assertIn("db: you have 2 connections open", world.open().failure[1])

    def test_a_pool_that_fills_is_left_to_who_has_little(self):
        self.assertTrue(has_room(600, 625, 1000, 5000))
        self.assertFalse(has_room(600, 625, 4500, 5000))
        self.assertTrue(has_room(300, 625, 4500, 5000))
        self.assertTrue(has_room(0, 625, 4999, 5000))
        self.assertFalse(has_room(0, 625, 5000, 5000))
        self.assertTrue(has_room(4999, 5000, 4999, 5000))

    def test_opens_a_second(self):
        registry = self.room(opens_per_second=5, pending=5000).sessions
        for _ in range(1000):  # half of what there is, which nobody else wants
            self.assertTrue(registry._opens.take("usr_alice"))
        for _ in range(1010):
            registry._opens.take("usr_alice")
        self.assertFalse(registry._opens.take("usr_alice"))
        self.assertTrue(registry._opens.take("usr_bob"))

    def test_who_opens_too_fast_is_told(self):
        world = self.room(opens_per_second=1)
        world.sessions._opens._all.left = 0
        self.assertIsNone(world.open().failure)
        self.assertEqual(world.open().failure, (4, TOO_FAST))
        world.clock.advance(1)
        self.assertIsNone(world.open().failure)

    def test_sessions(self):
        world = self.room(sessions=2)
        self.assertTrue(world.sessions.has_room("usr_alice"))
        world.sessions.begin(evolve(world.session, id="ses_2"))
        self.assertFalse(world.sessions.has_room("usr_alice"))
        self.assertTrue(world.sessions.has_room("usr_bob"))
        world.live.logged_out("bye")
        self.assertTrue(world.sessions.has_room("usr_alice"))

    def test_checks(self):
        world = self.room(checks=1)
        self.assertTrue(world.sessions.begin_check("usr_alice"))
        step = self.successResultOf(
            Deferred.fromCoroutine(anext(world.live.information.doctor("db")))
        )
        self.assertEqual((step.ok, step.text), (False, TOO_MANY_CHECKS))

import struct

from attrs import evolve
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from tests.channels.wires import Pair
from tests.domain.values import grant, policy, tunnel, view
from tests.pod.fakes import Connection, World
from tunnelcloud.channels.splice import PATIENCE, TAKEN_REQUEST
from tunnelcloud.domain.entities import Method, SessionMethod
from tunnelcloud.pod.live_session import NOTHING_LEFT, USER_DELETED
from tunnelcloud.pod.live_sessions import POD_FULL, TOO_MANY_PENDING
from tunnelcloud.pod.router import GIVEN_UP, OPEN_TIMEOUT, UNTOLD_PATIENCE
from tunnelcloud.pod.user_shares import Shares

MAX_PENDING = Shares().pending


class RoutingTests(SynchronousTestCase):
    def test_confirmed_only_when_the_target_is_connected(self):
        world = World(view(grant(tunnel())), "con_1")
        client = world.open()
        self.assertFalse(client.is_open)
        target = world.links.links[0].answer()
        world.settle()
        self.assertTrue(client.is_open)
        client.write(100)
        target.write(50)
        world.settle()
        self.assertEqual((target.received, client.received), (100, 50))

    def test_recorded_before_it_is_dialled(self):
        world = World(view(grant(tunnel())), "con_1")
        world.records.slow = True
        world.open()
        self.assertEqual(world.links.links[0].asked, [])
        world.records.release()
        world.settle()
        self.assertEqual(len(world.links.links[0].asked), 1)

    def test_end_is_recorded_with_its_bytes(self):
        world = World(view(grant(tunnel())), "con_1")
        client = world.open()
        target = world.links.links[0].answer()
        world.settle()
        client.write(10)
        world.settle()
        for end in (client, target):
            end.send_eof()
            world.settle()
        target.channel.close()
        world.settle()
        self.assertEqual(world.records.told[-1], ("closed", "db", "con_1", "", 10, 0))
        self.assertEqual(world.records.acknowledged, [False], "its connector doesn't tell")
        self.assertEqual(world.live.information.traffic()["db"].bytes_to_target, 10)

    def left_world(self):
        """Have a client write, close and go while its target has read nothing."""
        world = World(view(grant(tunnel())), "con_1")
        client = world.open()
        target = world.links.links[0].answer()
        target.is_target = True
        world.settle()
        client.write(100)
        world.settle()
        client.close()
        world.settle()
        return world, target

    def test_a_channel_that_its_client_closed_outlives_the_session(self):
        world, target = self.left_world()
        world.client.lose("gone")
        world.live.logged_out("the client closed the connection")
        self.assertEqual(world.records.told[1:], [])
        self.assertIn(world.session.id, world.sessions)
        self.assertEqual(
            world.sessions.usage(world.session.user_id)[0], 0, "it takes no other session's place"
        )
        self.assertTrue(target.eof_seen)
        target.channel.send_request(TAKEN_REQUEST, struct.pack(">Q", 90))
        target.send_eof()
        target.channel.close()
        world.settle()
        self.assertEqual(
            world.records.told[1:],
            [
                ("closed", "db", "con_1", "", 90, 0),
                ("session ended", "the client closed the connection", 90, 0),
            ],
        )
        self.assertEqual(world.records.acknowledged, [True])
        self.assertNotIn(world.session.id, world.sessions)
        self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_such_a_channel_is_cut_off_with_its_session(self):
        world, target = self.left_world()
        world.live.logged_out("bye")
        world.live.end("blocked")
        world.settle()
        self.assertEqual(target.end, (False, "closed by the peer"))
        self.assertEqual(
            [one[:2] for one in world.records.told[1:]],
            [("closed", "db"), ("session ended", "blocked")],
        )
        self.assertEqual(world.records.acknowledged, [False])

    def test_a_target_that_nothing_is_heard_of_is_given_up(self):
        """Its connector may be one that can't tell."""
        world, target = self.left_world()
        world.clock.advance(PATIENCE * UNTOLD_PATIENCE - 1)
        target.channel.send_request(TAKEN_REQUEST, struct.pack(">Q", 1))
        world.settle()
        world.clock.advance(1)
        self.assertIsNone(target.end)
        world.clock.advance(PATIENCE * UNTOLD_PATIENCE)
        world.settle()
        self.assertIsNotNone(target.end)
        self.assertEqual(world.records.told[-1], ("closed", "db", "con_1", GIVEN_UP, 100, 0))

    def roomy_world(self):
        world = World(view(grant(tunnel())), "con_1", shares=Shares(per_target=1024))
        for pair in (world.client, world.links.links[0].pair):
            pair.a.max_channels = pair.b.max_channels = 4 * MAX_PENDING
        return world

    def test_a_refusal_brings_nothing_that_a_terminal_obeys(self):
        world = World(view(grant(tunnel())), "con_1")
        for host in ("db\x1b]0;x\x07", "db\nlog line", "db\u202e", "\x9b31m"):
            code, text = world.open(host).failure
            self.assertEqual(code, 1)
            self.assertTrue(text.isprintable(), ascii(text))

    def pend(self, world):
        clients = [world.open() for _ in range(MAX_PENDING)]
        self.assertEqual([client.failure for client in clients], [None] * MAX_PENDING)
        self.assertEqual(world.open().failure, (4, TOO_MANY_PENDING))
        return clients

    def test_a_user_has_a_share_of_what_is_being_dialled(self):
        world = self.roomy_world()
        self.pend(world)
        world.links.links[0].refuse("refused")
        world.settle()
        self.assertIsNone(world.open().failure)
        self.assertEqual(world.open().failure, (4, TOO_MANY_PENDING))
        world.links.links[0].answer()
        world.settle()
        self.assertIsNone(world.open().failure)

    def test_an_open_that_is_given_up_counts_as_long_as_it_may_be_dialled(self):
        world = self.roomy_world()
        self.pend(world)
        world.client.lose()
        self.assertEqual(world.live.routes, set())
        world.client = Pair()
        world.client.a.max_channels = world.client.b.max_channels = 4 * MAX_PENDING
        self.assertEqual(world.open().failure, (4, TOO_MANY_PENDING))
        world.clock.advance(OPEN_TIMEOUT)
        self.pend(world)

    def test_no_connector(self):
        client = World(view(grant(tunnel()))).open()
        self.assertEqual(client.failure, (2, "site paris: no connector is attached"))

    def test_a_failed_dial_is_tried_on_another_connector(self):
        world = World(view(grant(tunnel())), "con_1", "con_2")
        client = world.open()
        world.links.links[0].refuse("timed-out")
        self.assertIsNone(client.failure)
        world.links.links[1].refuse("refused")
        world.settle()
        self.assertEqual(client.failure, (2, "connect to 10.0.0.5:5432: refused"))
        self.assertEqual(world.records.told[-1][:3], ("closed", "db", "con_2"))

    def test_a_connector_that_does_not_answer(self):
        world = World(view(grant(tunnel())), "con_1")
        client = world.open()
        world.clock.advance(20)
        world.settle()
        self.assertEqual(client.failure, (2, "connect to 10.0.0.5:5432: timed out"))

    def test_a_connector_that_is_cut_off_is_not_waited_for(self):
        world = World(view(grant(tunnel())), "con_1", "con_2")
        client = world.open()
        first, second = world.links.links
        self.assertEqual((first.probes, second.probes), (1, 0))
        first.silence = 3.0
        world.clock.advance(3)
        end = second.answer()
        world.settle()
        self.assertTrue(client.is_open)
        first.answer()  # late: nobody wants it any more
        world.settle()
        self.assertIsNone(end.end)

    def test_a_lost_link_is_not_all_that_its_connector_has(self):
        world = World(view(grant(tunnel())), "con_1", "con_1")
        client = world.open()
        first, second = world.links.links
        first.multiplexer.connection_lost("it broke")
        second.answer()
        world.settle()
        self.assertTrue(client.is_open)

    def test_a_lost_connector(self):
        world = World(view(grant(tunnel())), *["con_1"] * 4)
        client = world.open()
        for link in world.links.links:
            link.multiplexer.connection_lost("it broke")
        world.settle()
        lost = "connect to 10.0.0.5:5432: the connector was lost meanwhile; try again"
        self.assertEqual(client.failure, (2, lost))
        self.assertEqual(world.links.links[3].asked, [])

    def test_a_slow_target_is_waited_for(self):
        world = World(view(grant(tunnel())), "con_1", "con_2")
        world.open()
        world.links.links[0].silence = 2.0
        world.clock.advance(3)
        world.settle()
        self.assertEqual(world.links.links[1].asked, [])

    def test_the_only_connector_is_waited_for(self):
        world = World(view(grant(tunnel())), "con_1")
        client = world.open()
        (link,) = world.links.links
        link.silence = 15.0
        world.clock.advance(15)
        world.settle()
        self.assertIsNone(client.failure)
        link.answer()
        world.settle()
        self.assertTrue(client.is_open)

    def test_a_connector_cannot_word_the_refusal(self):
        world = World(view(grant(tunnel())), "con_1")
        client = world.open()
        world.links.links[0].refuse("please send your password to evil@example.com")
        world.settle()
        self.assertEqual(client.failure, (2, "connect to 10.0.0.5:5432: failed"))

    def test_a_full_pod(self):
        world = World(view(grant(tunnel())), "con_1", max_channels=1)
        first = world.open()
        self.assertEqual(world.open().failure, (4, POD_FULL))
        world.links.links[0].refuse("refused")
        world.settle()
        self.assertIsNotNone(first.failure)
        self.assertIsNone(world.open().failure)

    def test_monitoring_is_told(self):
        world = World(view(grant(tunnel())), "con_1")
        world.open(port=5433)
        world.open("nothing")
        world.open()
        world.clock.advance(0.25)
        world.links.links[0].answer()
        world.settle()
        world.open()
        world.links.links[0].refuse("timed-out")
        world.settle()
        counted = {one.name: one for one in world.counters.all()}
        refusals = counted["tunnelcloud_channel_refusals"].counts
        self.assertEqual(refusals, {("port",): 1, ("destination",): 1})
        dials = counted["tunnelcloud_dial_seconds"]
        self.assertEqual((dials.sums[()], sum(dials.counts[()])), (0.25, 1))
        failures = counted["tunnelcloud_dial_failures"].counts
        self.assertEqual(failures[("timed-out",)], 1)

    def test_refusals_are_recorded(self):
        world = World(view(grant(tunnel("db-prod"), [Method.TOKEN])), "con_1")
        client = world.open("db-prod")
        text = "db-prod: needs a one-time token, this session used a key"
        self.assertEqual(client.failure, (1, text))
        self.assertEqual(world.records.told, [("refused", "db-prod", 5432, text)])

    def test_refused_only_when_that_is_recorded(self):
        """So that nobody fills the store's queue faster than it writes: opens are limited."""
        world = World(view(grant(tunnel("db-prod"), [Method.TOKEN])), "con_1")
        world.records.slow = True
        client = world.open("db-prod")
        self.assertIsNone(client.failure)
        world.records.release()
        world.settle()
        self.assertEqual(client.failure[0], 1)

    def test_refused_though_that_can_not_be_recorded(self):
        world = World(view(grant(tunnel("db-prod"), [Method.TOKEN])), "con_1")
        world.records.channel_refused = lambda *arguments: fail(ZeroDivisionError())
        self.assertEqual(world.open("db-prod").failure[0], 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_client_that_leaves_while_its_refusal_is_written(self):
        world = World(view(grant(tunnel("db-prod"), [Method.TOKEN])), "con_1")
        world.records.slow = True
        world.open("db-prod")
        world.client.lose()
        world.records.release()

    def test_existing_and_made_up_destinations_read_the_same(self):
        theirs = World(view(grant(tunnel("other", "10.9.9.9"))), "con_1")
        texts = [theirs.open(host).failure[1].replace(host, "X") for host in ("secret", "nothing")]
        self.assertEqual(texts[0], texts[1])

    def test_a_client_that_leaves_while_its_start_is_written(self):
        world = World(view(grant(tunnel())), "con_1")
        world.records.slow = True
        world.open()
        world.client.lose()
        world.records.release()
        world.settle()
        self.assertEqual(world.links.links[0].asked, [])
        self.assertEqual(world.records.told[-1][0], "closed")


class ScopeTests(SynchronousTestCase):
    both = view(grant(tunnel("a", "10.0.0.1")), grant(tunnel("b", "10.0.0.2")))

    def test_the_login_name_that_is_shown_narrows_nothing(self):
        world = World(self.both, "con_1", login_name="tcptunnel@a")
        self.assertIsNone(world.open("b").failure)

    def test_a_scope_narrows(self):
        world = World(self.both, "con_1", tunnel_id="tun_a")
        self.assertIsNotNone(world.open("b").failure)
        self.assertIsNone(world.open("localhost").failure)

    def test_a_bound_token_narrows(self):
        world = World(self.both, "con_1", method=SessionMethod.TOKEN, tunnel_id="tun_b")
        self.assertIsNotNone(world.open("a").failure)
        self.assertIsNone(world.open("b").failure)
        rows = self.successResultOf(world.live.information.tunnels())
        self.assertEqual([row.name for row in rows], ["b"])


class RevocationTests(SynchronousTestCase):
    def setUp(self):
        self.a, self.b = grant(tunnel("a", "10.0.0.1")), grant(tunnel("b", "10.0.0.2"))
        self.world = World(view(self.a, self.b), "con_1")
        self.clients = []
        for host in ("a", "b"):
            self.clients.append(self.world.open(host))
            self.world.links.links[0].answer()
        self.world.settle()

    def test_only_what_is_no_longer_allowed_ends(self):
        self.world.live.recheck(view(self.b))
        self.world.settle()
        self.assertIsNotNone(self.clients[0].end)
        self.assertIsNone(self.clients[1].end)
        self.assertEqual(self.world.connection.ended, [])

    def test_nothing_left_ends_the_session(self):
        self.world.live.recheck(view())
        self.assertEqual(self.world.connection.ended, [NOTHING_LEFT])
        self.world.live.logged_out("connection lost")
        self.assertEqual(self.world.records.told[-1][:2], ("session ended", NOTHING_LEFT))
        self.assertEqual(len(self.world.sessions), 0)

    def test_what_was_taken_away_before_the_session_was_there(self):
        """The login was judged by what was in memory; the notice found no session to end."""
        self.assertEqual(World(view()).connection.ended, [NOTHING_LEFT])

    def test_whose_user_was_deleted_before_it_was_there(self):
        live = self.world.sessions.begin(evolve(self.world.session, id="ses_2"))
        self.world.views.get = lambda user_id: fail(LookupError(user_id))
        connection = Connection()
        live.attached(connection)
        self.assertEqual(connection.ended, [USER_DELETED])

    def test_a_session_that_is_about_to_end_opens_nothing_more(self):
        """With many channels, and beside others, its connection ends some turns later."""
        world = World(view(grant(tunnel())), "con_1")
        world.live.end("the key was revoked")
        client = world.open()
        self.assertEqual(world.links.links[0].asked, [])
        self.assertEqual(client.failure, (1, "the key was revoked"))

    def test_an_end_that_was_wanted_is_written_at_once(self):
        self.world.live.end("ended by root")
        self.world.settle()
        self.world.live.logged_out("connection lost")
        self.assertEqual(self.world.records.at_once, [True, True, True])

    def test_an_end_that_came_about_can_wait(self):
        self.world.live.logged_out("connection lost")
        self.world.settle()
        self.assertEqual(self.world.records.at_once, [False, False, False])

    def test_a_moved_target_ends_its_channels(self):
        moved = evolve(self.a, tunnel=evolve(self.a.tunnel, target_address="10.0.0.9"))
        self.world.live.recheck(view(moved, self.b))
        self.world.settle()
        self.assertIsNotNone(self.clients[0].end)
        self.assertIsNone(self.clients[1].end)

    def test_limits_do_not_count_the_channel_itself(self):
        one = evolve(self.a, policies=(policy(max_channels=1),))
        self.world.live.recheck(view(one, self.b))
        self.world.settle()
        self.assertIsNone(self.clients[0].end)

    def test_too_old_a_session_opens_nothing(self):
        """What a session is too old for is refused, and not opened to be ended a moment later."""
        old = evolve(self.a, policies=(policy(max_session_seconds=100),))
        self.world.views.view = view(old, self.b)
        self.world.clock.advance(100)
        self.assertEqual(self.world.open("a").failure, (1, "a: sessions may last 100 seconds"))
        self.assertIsNone(self.world.open("b").failure)

    def test_what_limits_the_whole_session(self):
        """The connection ends when nothing is left to it: by the most generous of its tunnels."""
        connection = self.world.connection
        self.assertEqual(connection.limits, [])
        strict = policy(max_session_seconds=100, idle_seconds=60)
        mild = policy(max_session_seconds=500)
        self.world.live.recheck(view(evolve(self.a, policies=(strict,)), self.b))
        self.assertEqual(connection.limits, [])
        both = (evolve(self.a, policies=(strict,)), evolve(self.b, policies=(strict, mild)))
        for _ in range(2):  # setting them anew would begin the idle time anew
            self.world.live.recheck(view(*both))
        self.assertEqual(connection.limits, [(60, 100)])
        self.world.live.recheck(view(both[0], evolve(self.b, policies=(mild,))))
        self.assertEqual(connection.limits[1:], [(None, 500)])
        self.world.live.recheck(view(self.a, self.b))
        self.assertEqual(connection.limits[2:], [(None, None)])

    def test_limits_from_the_start(self):
        limited = grant(tunnel(), policies=(policy(max_session_seconds=100),))
        self.assertEqual(World(view(limited)).connection.limits, [(None, 100)])

    def test_idle_and_session_limits(self):
        limited = [
            evolve(self.a, policies=(policy(idle_seconds=60),)),
            evolve(self.b, policies=(policy(max_session_seconds=100),)),
        ]
        for seconds, ended in [(50, [False, False]), (20, [True, False]), (40, [True, True])]:
            self.world.clock.advance(seconds)
            self.world.live.recheck(view(*limited))
            self.world.settle()
            self.assertEqual([client.end is not None for client in self.clients], ended)

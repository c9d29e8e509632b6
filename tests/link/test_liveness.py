"""Links over real TLS in memory: which ones live, how a dead peer is found, and what rest costs."""

import math

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.channels.wires import End as StreamEnd
from tests.link.links import LinkPair, join
from tunnelcloud.channels.multiplexer import MAX_REPLIES_DUE
from tunnelcloud.channels.windows import Path
from tunnelcloud.link import protocol, requests
from tunnelcloud.link.liveness import (
    JUST_NOW,
    LONGEST_DEBT,
    LONGEST_SILENCE,
    LONGEST_UNANSWERED,
    Liveness,
)
from tunnelcloud.link.requests import DISMISS


class Asked:
    """Stands for a link's channels: there are none, and each ping is told and not answered."""

    channel_count, channels = 0, ()

    def __init__(self, told):
        self.path = Path()
        self.told = told

    def send_global_request(self, name, data, answered):
        self.told()


class LifeTests(SynchronousTestCase):
    def test_ping_measures_the_round_trip(self):
        pair = LinkPair().start()
        self.assertEqual(pair.pod.liveness.round_trip, 0)
        pair.clock.advance(pair.pod.liveness.ping_interval)
        pair.clock.advance(0)
        pair._pump.pump()
        pair.clock.advance(0.25)
        pair.run()
        self.assertEqual(pair.pod.liveness.round_trip, 0.25)
        self.assertEqual(pair.pod.multiplexer.path.round_trip, 0)

    def test_a_probe_brings_a_byte(self):
        """Only who hasn't been heard of just now is asked, and the path isn't measured by it."""
        pair = LinkPair().start()
        pair.pod.liveness.probe()
        pair.clock.advance(0.6)
        pair.run()
        self.assertEqual(pair.pod.liveness.silence, 0.6)
        pair.pod.liveness.probe()
        pair.run()
        self.assertEqual(pair.pod.liveness.silence, 0)
        self.assertEqual(pair.pod.multiplexer.path.round_trip, 0)

    def pings(self, end):
        """Keep the pings that an end gets; give their list."""
        heard, answer = [], end.global_request_received

        def received(name, data):
            if name == requests.PING:
                heard.append(end)
            return answer(name, data)

        end.global_request_received = received
        return heard

    def test_at_rest_the_pod_alone_asks(self):
        pair = LinkPair().start()
        to_pod, to_connector = self.pings(pair.pod), self.pings(pair.connector)
        interval = pair.pod.liveness.ping_interval
        self.live_on(pair, 20 * interval)
        first = len(to_pod)  # those that measure the path
        self.live_on(pair, 20 * interval)
        self.assertLess(first, 8)
        self.assertEqual(len(to_pod), first)
        self.assertIn(len(to_connector), (39, 40))
        join(pair)
        self.live_on(pair, 20 * interval)
        self.assertIn(len(to_connector), (59, 60))
        self.assertGreaterEqual(len(to_pod) - first, 19)

    def test_at_rest_a_connector_asks_a_pod_that_asks_nothing(self):
        pair = LinkPair().start()
        to_pod = self.pings(pair.pod)
        pair.pod.liveness.stop()
        self.live_on(pair, 600)
        self.assertGreater(len(to_pod), 10)
        self.assertEqual(pair.connector_owner.lost, [])

    def test_at_rest_a_dead_pod_is_found_in_45_seconds(self):
        pair = LinkPair().start()
        self.live_on(pair, 100)
        waited = 0
        while not pair.client_wire.disconnecting and waited <= LONGEST_SILENCE:
            pair.clock.advance(0.5)
            waited += 0.5
        self.assertTrue(LONGEST_SILENCE / 2 <= waited <= LONGEST_SILENCE, waited)

    def test_many_links_wake_the_pod_few_times(self):
        clock, times = Clock(), []
        for _ in range(100):
            clock.advance(0.037)
            one = Liveness(
                Asked(lambda: times.append(clock.seconds())), clock, 45, self.fail, self.fail,
                asks_at_rest=True, at_rest=lambda: None,
            )  # fmt: skip
            one.heard_at = math.inf
            one.begin()
            self.addCleanup(one.stop)
        times.clear()
        start = clock.seconds()
        while clock.seconds() < start + 10 * one.ping_interval:
            clock.advance(0.001)
        self.assertGreaterEqual(len(times), 990)
        self.assertLessEqual(len({round(time, 2) for time in times}), 100 + 10 * 26)

    def test_at_rest_memory_is_given_back(self):
        """The buffers between TLS and socket are new ones, and what is written later arrives."""
        pair = LinkPair().start()
        near, far = join(pair)
        near.write(100_000)
        pair.run()
        near.close()
        far.close()
        pair.run()
        self.assertEqual(pair.pod.channel_count, 0)
        wires = pair.pod.transport, pair.connector.transport

        def buffers():
            ends = [wire._tlsConnection for wire in wires]
            return [bio for end in ends for bio in (end._into_ssl, end._from_ssl)]

        used = buffers()
        self.live_on(pair, 2 * pair.pod.liveness.ping_interval)
        for before, after in zip(used, buffers(), strict=True):
            self.assertIsNot(before, after)
        near, far = join(pair)
        near.write(1000)
        far.write(2000)
        pair.run()
        self.assertEqual((far.received, near.received), (1000, 2000))

    def test_the_pod_keeps_no_copy_of_its_own_authority(self):
        pair = LinkPair().start()
        handle = pair.pod.transport.getHandle()
        self.assertIsNotNone(handle.get_peer_certificate())
        self.assertEqual(list(handle.get_peer_cert_chain() or ()), [])

    def test_no_memory_is_given_back_with_bytes_in_it(self):
        pair = LinkPair().start()
        wire = pair.pod.transport
        pair.connector.liveness.probe()
        pair.clock.advance(JUST_NOW + 0.1)
        pair.connector.liveness.probe()
        sent = b"".join(pair.client_wire.stream)
        wire._tlsConnection.bio_write(sent[:10])
        used = wire._tlsConnection._into_ssl
        wire.give_back()
        self.assertEqual(wire._tlsConnection._into_ssl, used)

    def test_the_first_pings_follow_each_other(self):
        """The very first meets a peer that is busy, and would make the path look long."""
        pair = LinkPair()
        slow = 0.5
        for _ in range(6):
            pair._pump.pump()
            pair.clock.advance(slow)
        pair.run()
        self.assertEqual(pair.pod.multiplexer.path.round_trip, 0)
        self.assertLess(len(pair.pod.multiplexer._replies), 2)

    def test_dead_peer_is_found_in_45_seconds(self):
        self.assert_found(LinkPair, 45)

    def test_dead_peer_is_found_in_the_time_that_is_set(self):
        self.assert_found(lambda: LinkPair(longest_silence=9), 9)

    def assert_found(self, make_pair, limit):
        for early in range(0, limit // 4, limit // 9):
            pair = make_pair().start()
            near, _ = join(pair)
            pair.clock.advance(early)
            pair.run()
            waited = 0
            while not pair.server_wire.disconnecting and waited <= limit:
                pair.clock.advance(limit / 90)
                waited += limit / 90
            self.assertTrue(limit / 2 <= waited <= limit, waited)
            self.assertFalse(near.end[0])
            self.assertIn("silent", near.end[1])

    def test_bytes_are_life(self):
        pair = LinkPair().start()
        for _ in range(100):
            pair.clock.advance(5)
            pair.run()
        self.assertTrue(pair.pod.ready and pair.connector.ready)

    def live_on(self, pair, seconds):
        for _ in range(int(seconds)):
            pair.clock.advance(1)
            pair.run()

    def open_and_give_up(self, pair):
        channel = pair.pod.open_channel(
            b"direct-tcpip", b"", StreamEnd(), pair.budgets[0].account()
        )
        pair.run()
        channel.close("given up")
        pair.run()
        return pair.connector_owner.asked[-1][0]

    def test_a_peer_that_never_answers_opens_loses_its_link(self):
        pair = LinkPair().start()
        for _ in range(20):
            self.open_and_give_up(pair)
        self.live_on(pair, LONGEST_DEBT - 1)
        self.assertEqual(pair.pod_owner.lost, [])
        self.live_on(pair, 4 * pair.pod.liveness.ping_interval)
        [reason] = pair.pod_owner.lost
        self.assertIn("never answered", reason)
        self.assertEqual(pair.pod.channel_count, 0)

    def test_a_peer_that_answers_late_keeps_its_link(self):
        pair = LinkPair().start()
        for _ in range(5):
            asked = self.open_and_give_up(pair)
            self.live_on(pair, LONGEST_DEBT - 10)
            asked.refuse(2, "timed-out")
        self.live_on(pair, LONGEST_DEBT)
        self.assertEqual(pair.pod_owner.lost, [])

    def test_a_peer_that_can_not_have_read_what_it_owes_keeps_its_link(self):
        pair = LinkPair().start()
        self.open_and_give_up(pair)
        # As on a slow path: its bytes come, and ours are under way yet.
        pair.connector.global_request_received = lambda name, data: None
        self.live_on(pair, LONGEST_DEBT + 4 * pair.pod.liveness.ping_interval)
        self.assertEqual(pair.pod_owner.lost, [])

    def test_a_peer_that_never_answers_requests_loses_its_link(self):
        pair = LinkPair().start()
        replies = []
        pair.client_wire.write = lambda data: None
        for _ in range(MAX_REPLIES_DUE):
            pair.pod.multiplexer.send_global_request(b"x", b"", replies.append)
        self.assertEqual(pair.pod_owner.lost, [])
        pair.pod.multiplexer.send_global_request(b"x", b"", replies.append)
        pair.run()
        self.assertEqual(len(replies), MAX_REPLIES_DUE + 1)
        self.assertFalse(pair.pod.ready)

    def test_a_peer_that_answers_no_ping_loses_its_link(self):
        pair = LinkPair().start()
        answer = pair.connector.global_request_received
        pair.connector.global_request_received = lambda name, data: (
            None if name == requests.PING else answer(name, data)
        )
        self.live_on(pair, LONGEST_UNANSWERED - 1)
        self.assertEqual(pair.pod_owner.lost, [])
        self.live_on(pair, 2 * pair.pod.liveness.ping_interval)
        [reason] = pair.pod_owner.lost
        self.assertIn("pings are never answered", reason)

    def test_one_probe_at_a_time(self):
        pair = LinkPair().start()
        pair.clock.advance(JUST_NOW + 0.1)
        asked = []
        pair.pod.multiplexer.send_global_request = lambda *request: asked.append(request)
        for _ in range(3):
            pair.pod.liveness.probe()
        [request] = asked
        del pair.pod.multiplexer.send_global_request
        pair.pod.multiplexer.send_global_request(*request)
        pair.run()
        self.assertEqual(pair.pod.liveness.silence, 0)
        self.assertTrue(pair.pod.ready)

    def test_a_dismissed_peer_is_told_why(self):
        told = []
        pair = LinkPair(handlers={DISMISS: lambda _, document: told.append(document)}).start()
        near, far = join(pair)
        pair.pod.dismiss("the connector was deleted")
        self.assertEqual(near.end, (False, "the connector was deleted"))
        pair.run()
        self.assertEqual(told, [{"reason": "the connector was deleted"}])
        self.assertIsNotNone(far.end)
        self.assertTrue(pair.client_wire.disconnected)
        self.assertEqual(pair.pod_owner.lost, ["the connector was deleted"])

    def test_a_dismissed_peer_that_reads_nothing_is_not_waited_for(self):
        pair = LinkPair().start()
        pair.pod.dismiss("the connector was deleted")
        pair.clock.advance(protocol.DISMISSAL_TIMEOUT - 1)
        self.assertFalse(pair.server_wire.disconnecting)
        pair.clock.advance(1)
        self.assertTrue(pair.server_wire.disconnecting)

    def test_drain_waits_for_channels(self):
        pair = LinkPair().start()
        near, far = join(pair)
        pair.connector.drain()
        pair.run()
        self.assertFalse(pair.pod.ready, "no new channels")
        near.eager = True
        far.write(100)
        pair.run()
        self.assertEqual(near.received, 100)
        far.channel.close("enough")
        pair.run()
        self.assertTrue(pair.client_wire.disconnected)
        self.assertEqual(len(pair.pod_owner.lost), 1)
        self.assertEqual(pair.connector_owner.lost, ["drained"])

    def test_drain_without_channels_ends_at_once(self):
        pair = LinkPair().start()
        pair.pod.drain()
        pair.run()
        self.assertEqual(pair.pod_owner.lost, ["drained"])

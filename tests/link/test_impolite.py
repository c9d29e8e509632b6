"""Links whose peer asks for too much, or says what it should not."""

import struct

from twisted.trial.unittest import SynchronousTestCase

from tests.link.links import LinkPair, join
from tunnelcloud.channels.messages import (
    ChannelData,
    ChannelRequest,
    ChannelWindowAdjust,
    GlobalRequest,
)
from tunnelcloud.link.requests import PING, RENEW, read_hello
from tunnelcloud.net.message_scheduling import MESSAGES_A_ROUND

KIB = 1024


class ImpoliteConnectorTests(SynchronousTestCase):
    """A connector that asks, or says nothing, without end loses its link and holds nobody up."""

    def flood(self, pair, message, count):
        """Send one message again and again, as the connector."""
        frame = struct.pack(">I", len(message)) + message
        pair.pod.dataReceived(frame * count)
        pair.run()

    def messages(self, pair):
        """Give messages that move nothing, of every kind, for a channel that is open."""
        near, _ = join(pair)
        number = near.channel.number
        return [
            GlobalRequest(PING, False, b"").encode(),
            GlobalRequest(RENEW, False, b"{}").encode(),
            GlobalRequest(b"x", False, b"").encode(),
            ChannelRequest(number, b"x", False, b"").encode(),
            ChannelWindowAdjust(number, 0).encode(),
            ChannelWindowAdjust(number, 1).encode(),
            ChannelData(number, b"").encode(),
        ]

    def test_a_flood_ends_the_link(self):
        for kind in range(7):
            pair = LinkPair().start()
            message = self.messages(pair)[kind]
            self.flood(pair, message, 1000)
            self.assertEqual(pair.pod_owner.lost, [], message)
            self.flood(pair, message, 10_000)
            [reason] = pair.pod_owner.lost
            self.assertIn("too many requests, or messages that move nothing", reason)
            self.assertEqual(pair.connector_owner.lost != [], True)

    def test_a_few_a_second_are_borne(self):
        pair = LinkPair().start()
        message = self.messages(pair)[0]
        for _ in range(60):
            self.flood(pair, message, 500)
            pair.clock.advance(1)
        self.assertEqual(pair.pod_owner.lost, [])

    def test_what_a_reader_grants_is_borne(self):
        """Credit for each byte that was sent, byte by byte, isn't a flood."""
        pair = LinkPair().start()
        near, far = join(pair)
        far.eager = False
        near.write(30_000)
        pair.run()
        adjust = ChannelWindowAdjust(near.channel.number, 1).encode()
        self.flood(pair, adjust, 30_000)
        self.assertEqual(pair.pod_owner.lost, [])

    def test_no_more_than_a_round_in_a_turn(self):
        """Whatever the messages are; and what came after them is kept, in its order."""
        pair = LinkPair().start()
        near, _ = join(pair)
        data = ChannelData(near.channel.number, b"x").encode()
        frame = struct.pack(">I", len(data)) + data
        taken = []
        near.data_received = taken.append
        # A read ends inside a frame, and the next one comes though reading was paused.
        pair.pod.dataReceived(frame * 1000 + frame[:7])
        pair.pod.dataReceived(frame[7:] + frame * 99)
        self.assertLessEqual(len(taken), MESSAGES_A_ROUND)
        self.assertGreater(len(taken), MESSAGES_A_ROUND // 2)  # the start had some
        pair.run()
        self.assertEqual(len(taken), 1100)

    def test_nothing_waits_beyond_the_end(self):
        pair = LinkPair().start()
        message = GlobalRequest(PING, True, b"").encode()
        pair.pod.dataReceived((struct.pack(">I", len(message)) + message) * 1000)
        pair.pod.disconnect("enough")
        pair.run()
        self.assertEqual(pair.pod_owner.lost, ["enough"])


class HostileHelloTests(SynchronousTestCase):
    def test_what_a_connector_says_of_itself_moves_no_cursor(self):
        said = "x\x1b[2J\r\n\u202e"
        hello = read_hello({"version": 1, "name": said, "software": said, "way": said})
        shown = "x\\x1b[2J\\r\\n\\u202e"
        self.assertEqual((hello.name, hello.software, hello.way), (shown,) * 3)
        hello = read_hello({"version": 1, "name": "n" * 5000, "software": "s" * 5000})
        self.assertEqual((len(hello.name), len(hello.software)), (256, 65))

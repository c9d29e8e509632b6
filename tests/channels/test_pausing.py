"""Channels whose reader or writer waits."""

import struct

from twisted.trial.unittest import SynchronousTestCase

from tests.channels.wires import End, Pair, join
from tunnelcloud.channels import multiplexer
from tunnelcloud.channels.messages import MSG_CHANNEL_DATA, GlobalRequest

KIB = 1024


class PausingTests(SynchronousTestCase):
    def test_nothing_counts_as_drained_before_the_socket_took_it(self) -> None:
        pair = Pair(limit=40 * KIB)
        near, _ = join(pair)
        near.write(60 * KIB)
        self.assertTrue(pair.a.paused)
        self.assertEqual(near.drained_bytes, 0)
        pair.settle()
        self.assertEqual(near.drained_bytes, 60 * KIB)

    def test_channels_take_turns(self) -> None:
        pair = Pair(limit=4 * KIB)
        streams = [join(pair) for _ in range(3)]
        pair.a.pause_sending()
        for near, _ in streams:
            near.write(64 * KIB)
        streams[2][0].channel.send_request(b"first")
        order = []
        pair.a.resume_sending()
        while pair.wires[0].messages:
            message = pair.wires[0].messages[0]
            if message[0] == MSG_CHANNEL_DATA:
                order.append(struct.unpack_from(">I", message, 1)[0])
            pair.wires[0].deliver()
        self.assertEqual(order[:3], sorted(set(order)))
        self.assertEqual(order[:3], order[3:6])

    def test_control_goes_past_the_queue(self) -> None:
        pair = Pair()
        near, _ = join(pair)
        pair.a.pause_sending()
        near.write(100)
        pair.a.send_global_request(b"ping")
        self.assertEqual([message[0] for message in pair.wires[0].messages], [80])

    def test_peer_that_asks_and_does_not_read_is_cut_off(self) -> None:
        pair = Pair()
        near, _ = join(pair)
        pair.a.pause_sending()
        question = GlobalRequest(b"keepalive@openssh.com", True).encode()
        for _ in range(multiplexer.CONTROL_BACKLOG + 1):
            pair.a.message_received(question)
            if pair.a.lost:
                break
        self.assertTrue(pair.wires[0].ended)
        self.assertLessEqual(pair.wires[0].unsent, multiplexer.CONTROL_BACKLOG)
        assert near.end is not None

    def test_tiny_writes_are_queued_together(self) -> None:
        pair = Pair()
        near, far = join(pair)
        pair.a.pause_sending()
        for _ in range(1000):
            near.write(1)
        pair.a.resume_sending()
        self.assertEqual(len(pair.wires[0].messages), 1)
        pair.settle()
        self.assertEqual(far.received, 1000)

    def test_user_that_writes_when_drained_keeps_the_order(self) -> None:
        class Writer(End):
            def drained(self, count: int) -> None:
                super().drained(count)
                if self.written < 300 * KIB:
                    self.write(7 * KIB)

        pair = Pair()
        near, far = Writer(), End()
        far.eager = True
        near.channel = pair.a.open_channel(b"x", b"", near)
        pair.settle()
        far.channel = pair.users[1].asked[0][0]
        far.channel.user = far
        far.channel.confirm()
        pair.settle()
        near.write(100 * KIB)
        pair.settle()
        self.assertEqual(far.received, near.written)
        self.assertGreaterEqual(near.written, 300 * KIB)

"""Channels over one connection, told by their messages."""

from twisted.trial.unittest import SynchronousTestCase

from tests.channels.wires import End, Pair, join, stream
from tunnelcloud.channels.invariants import check_invariants
from tunnelcloud.channels.messages import (
    MSG_CHANNEL_EOF,
    ChannelClose,
    ChannelData,
    ChannelEof,
    ChannelExtendedData,
    ChannelOpen,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    ChannelRequest,
    ChannelSuccess,
    ChannelWindowAdjust,
    RequestFailure,
    RequestSuccess,
    decode,
)

KIB = 1024


class OpeningTests(SynchronousTestCase):
    def test_answer_is_the_users(self) -> None:
        pair = Pair()
        near = End()
        near.channel = pair.a.open_channel(b"direct-tcpip", b"where", near)
        pair.settle()
        channel, channel_type, data = pair.users[1].asked[0]
        self.assertEqual((channel_type, data), (b"direct-tcpip", b"where"))
        self.assertFalse(near.is_open)
        channel.refuse(1, "db: nö")
        pair.settle()
        self.assertEqual(near.failure, (1, "db: nö"))
        self.assertEqual((pair.a.channel_count, pair.b.channel_count), (0, 0))
        self.assertEqual([account.used for account in pair.accounts], [0, 0])

    def test_limit_counts_both_sides_opens(self) -> None:
        pair = Pair(max_channels=2)
        join(pair)
        join(pair)
        late = End()
        pair.a.open_channel(b"direct-tcpip", b"", late)
        self.assertEqual(late.failure, (4, "too many channels"))
        pair.b.message_received(ChannelOpen(b"direct-tcpip", 7, 1, 32768).encode())
        answer = decode(pair.wires[1].messages[-1])
        self.assertEqual(answer, ChannelOpenFailure(7, 4, b"more than 2 channels at once", b"en"))

    def test_small_packets_are_refused(self) -> None:
        pair = Pair()
        pair.b.message_received(ChannelOpen(b"direct-tcpip", 7, 1, 1023).encode())
        answer = decode(pair.wires[1].messages[-1])
        assert isinstance(answer, ChannelOpenFailure)
        self.assertEqual(pair.users[1].asked, [])
        pair.a.open_channel(b"x", b"", End())
        pair.a.message_received(ChannelOpenConfirmation(0, 0, 1, 1023).encode())
        self.assertTrue(pair.wires[0].ended)

    def test_given_up_open_counts_until_answered_and_is_closed_if_confirmed(self) -> None:
        pair = Pair(max_channels=1)
        near = End()
        near.channel = pair.a.open_channel(b"direct-tcpip", b"", near)
        near.channel.close("it took too long")
        self.assertEqual(near.end, (False, "it took too long"))
        self.assertEqual(pair.a.channel_count, 1)
        other = End()
        pair.a.open_channel(b"direct-tcpip", b"", other)
        self.assertEqual(other.failure, (4, "too many channels"))
        pair.settle()
        far = End()
        far.channel = pair.users[1].asked[0][0]
        far.channel.user = far
        far.channel.confirm()
        pair.settle()
        self.assertEqual(far.end, (False, "closed by the peer"))
        self.assertFalse(near.is_open)
        self.assertEqual(pair.a.channel_count, 0)
        self.assertEqual(pair.accounts[0].used, 0)

    def test_a_peer_that_answers_nothing_keeps_no_credit(self) -> None:
        """Its silence would make the windows of everybody else's channels small."""
        pair = Pair()
        near, far = join(pair)
        pending = End()
        pending.channel = pair.a.open_channel(b"direct-tcpip", b"", pending)
        self.assertGreater(pair.accounts[0].used, 0)
        near.channel.close("the session ended")
        pending.channel.close("it took too long")
        self.assertEqual((pair.a.channel_count, pair.accounts[0].used), (2, 0))
        far.write(100)
        pair.settle()
        self.assertFalse(pair.wires[0].ended)

    def test_numbers_are_not_used_again(self) -> None:
        pair = Pair()
        numbers = set()
        for _ in range(5):
            near, _ = join(pair)
            numbers.add(near.channel.number)
            near.channel.close("enough")
            pair.settle()
            self.assertEqual(pair.a.channel_count, 0)
        self.assertEqual(len(numbers), 5)

    def test_unanswered_open_fails_with_the_connection(self) -> None:
        pair = Pair()
        near, far = End(), End()
        near.channel = pair.a.open_channel(b"direct-tcpip", b"", near)
        pair.settle()
        far.channel = pair.users[1].asked[0][0]
        far.channel.user = far
        pair.lose()
        self.assertEqual(near.failure, (2, "the wire broke"))
        self.assertEqual(far.end, (False, "the wire broke"))
        far.channel.confirm()
        far.channel.refuse(1, "too late")
        self.assertEqual([account.used for account in pair.accounts], [0, 0])


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = Pair()
        self.near, self.far = join(self.pair)

    def test_window_bounds_what_is_sent(self) -> None:
        self.near.write(200 * KIB)
        self.pair.settle()
        self.assertEqual(self.far.received, 64 * KIB)
        self.assertEqual(self.near.drained_bytes, 64 * KIB)
        self.far.consume(31 * KIB)
        self.pair.settle()
        self.assertEqual(self.far.received, 64 * KIB)
        self.far.consume(1 * KIB)
        self.pair.settle()
        self.assertEqual(self.far.received, 96 * KIB)

    def test_packets_fit_the_peers_limit(self) -> None:
        self.near.write(50 * KIB)
        sizes = [len(message) - 9 for message in self.pair.wires[0].messages]
        self.assertEqual(sizes, [32 * KIB, 18 * KIB])

    def test_window_grows_while_drained(self) -> None:
        self.far.eager = True
        self.near.write(40 * 1024 * KIB)
        self.pair.settle()
        self.assertEqual(self.far.received, 40 * 1024 * KIB)
        window = self.far.channel.window
        assert window is not None
        self.assertEqual(window.size, 16 * 1024 * KIB)

    def test_half_close_each_way(self) -> None:
        self.near.write(10)
        self.near.send_eof()
        self.pair.settle()
        self.assertTrue(self.far.eof_seen)
        self.far.write(20)
        self.pair.settle()
        self.assertEqual(self.near.received, 20)
        self.far.send_eof()
        self.pair.settle()
        self.assertIsNone(self.near.end)
        self.far.channel.close()
        self.pair.settle()
        self.assertEqual(self.far.end, (True, ""))
        self.assertIsNone(self.near.end, "20 bytes are held: the peer waits for its CLOSE")
        self.near.consume(20)
        self.assertEqual(self.near.end, (True, ""))
        self.pair.settle()
        self.assertEqual((self.pair.a.channel_count, self.pair.b.channel_count), (0, 0))

    def test_eof_follows_what_waits_for_the_window(self) -> None:
        self.near.write(100 * KIB)
        self.near.send_eof()
        self.pair.settle()
        self.assertFalse(self.far.eof_seen)
        self.far.eager = True
        self.far.consume(64 * KIB)
        self.pair.settle()
        self.assertEqual(self.far.received, 100 * KIB)
        self.assertTrue(self.far.eof_seen)

    def test_abnormal_close_sends_no_eof(self) -> None:
        self.near.write(100 * KIB)
        self.near.channel.close("reset")
        numbers = [message[0] for message in self.pair.wires[0].messages]
        self.assertNotIn(MSG_CHANNEL_EOF, numbers)
        self.pair.settle()
        self.assertEqual(self.near.end, (False, "reset"))
        self.assertTrue(self.far.close_seen)
        self.assertIsNone(self.far.end, "its bytes are held")
        self.far.consume(64 * KIB)
        self.pair.settle()
        self.assertEqual(self.far.end, (False, "closed by the peer"))
        self.assertEqual([account.used for account in self.pair.accounts], [0, 0])

    def test_bytes_that_cross_a_close_are_dropped(self) -> None:
        self.far.write(10 * KIB)
        self.near.channel.close("enough")
        self.pair.settle()
        self.assertEqual(self.near.received, 0)
        self.assertEqual((self.pair.a.channel_count, self.pair.b.channel_count), (0, 0))
        self.assertEqual([wire.ended for wire in self.pair.wires], ["", ""])

    def test_close_is_answered_when_all_before_it_has_been_passed_on(self) -> None:
        self.near.write(10 * KIB)
        self.near.close()
        self.pair.settle()
        self.assertEqual((self.far.received, self.far.end), (10 * KIB, None))
        self.assertFalse(self.far.eof_seen)
        self.far.consume(10 * KIB - 1)
        self.assertIsNone(self.far.end)
        self.far.consume(1)
        self.assertEqual(self.far.end, (False, "closed by the peer"))
        self.pair.settle()
        self.assertEqual((self.pair.a.channel_count, self.pair.b.channel_count), (0, 0))

    def test_what_the_peer_wants_no_more_is_dropped_and_counts_as_drained(self) -> None:
        self.far.write(100 * KIB)
        self.near.write(10)
        self.near.close()
        self.pair.settle()
        self.assertEqual(self.far.drained_bytes, 100 * KIB)
        check_invariants(self.far.channel)
        self.far.write(10)
        self.far.send_eof()
        self.assertFalse(self.pair.wires[1].messages)
        self.far.consume(10)
        self.pair.settle()
        self.assertEqual([account.used for account in self.pair.accounts], [0, 0])

    def test_withheld_bytes_that_the_peer_wants_no_more_are_told_once(self) -> None:
        self.pair.wires[1].limit = 0
        self.far.write(20 * KIB)
        self.assertEqual(self.far.drained_bytes, 0)
        self.pair.b.message_received(ChannelClose(self.far.channel.number).encode())
        self.assertEqual(self.far.drained_bytes, 20 * KIB)
        self.pair.b.resume_sending()
        self.assertEqual(self.far.drained_bytes, 20 * KIB)

    def test_a_lost_connection_takes_nothing_of_what_came_before_close(self) -> None:
        self.near.write(10 * KIB)
        self.near.close()
        self.pair.settle()
        self.pair.b.connection_lost("the session ended")
        self.assertIsNone(self.far.end)
        self.assertEqual(self.pair.accounts[1].used, 64 * KIB)
        self.far.consume(10 * KIB)
        self.assertEqual(self.far.end, (False, "closed by the peer"))
        self.assertEqual(self.pair.accounts[1].used, 0)

    def test_a_peer_that_takes_its_leave_has_closed_its_channels(self) -> None:
        self.near.write(10 * KIB)
        self.near.send_eof()
        _, other_far = join(self.pair)
        pending = End()
        pending.channel = self.pair.a.open_channel(b"x", b"", pending)
        self.pair.settle()
        self.pair.b.connection_lost("it said good-bye", in_order=True)
        self.assertEqual((self.far.close_seen, self.far.end), (True, None))
        self.assertEqual(other_far.end, (False, "closed by the peer"))
        self.far.consume(10 * KIB)
        self.assertEqual(self.far.end, (False, "closed by the peer"))
        self.assertEqual(self.pair.accounts[1].used, 0)

    def test_requests_are_answered_by_the_user(self) -> None:
        number = self.near.channel.number
        for name, answer in ((b"yes", "ChannelSuccess"), (b"no", "ChannelFailure")):
            self.pair.a.message_received(ChannelRequest(number, name, True, b"arg").encode())
            sent = decode(self.pair.wires[0].messages.pop())
            self.assertEqual(type(sent).__name__, answer)
        self.pair.a.message_received(ChannelRequest(number, b"yes", False).encode())
        self.assertFalse(self.pair.wires[0].messages)

    def test_own_request_reaches_the_peer(self) -> None:
        self.far.channel.send_request(b"exit-status", b"\0\0\0\0")
        self.pair.settle()
        self.assertEqual(self.near.requests, [(b"exit-status", b"\0\0\0\0")])

    def test_extended_data_ends_the_channel(self) -> None:
        number = self.near.channel.number
        self.pair.a.message_received(ChannelExtendedData(number, 1, b"oops").encode())
        self.assertEqual(self.near.end, (False, "extended data of type 1"))
        self.assertFalse(self.pair.wires[0].ended)


class GlobalRequestTests(SynchronousTestCase):
    def test_replies_come_in_order(self) -> None:
        pair = Pair()
        replies: list[object] = []
        pair.a.send_global_request(b"echo", b"1", replies.append)
        pair.a.send_global_request(b"unknown", b"2", replies.append)
        pair.a.send_global_request(b"no-reply", b"3")
        pair.a.send_global_request(b"echo", b"4", replies.append)
        pair.settle()
        self.assertEqual(replies, [b"1", None, b"4"])
        self.assertEqual(len(pair.users[1].requests), 4)

    def test_lost_connection_answers_none(self) -> None:
        pair = Pair()
        replies: list[object] = []
        pair.a.send_global_request(b"echo", b"1", replies.append)
        pair.lose()
        pair.a.send_global_request(b"echo", b"2", replies.append)
        self.assertEqual(replies, [None, None])


class BrokenRuleTests(SynchronousTestCase):
    """Each of these ends the connection, its channels with it, and leaves no credit out."""

    def broken_by(self, *messages: bytes) -> None:
        pair = Pair()
        near, _ = join(pair)
        pending = End()
        pending.channel = pair.a.open_channel(b"x", b"", pending)
        self.assertEqual((near.channel.number, pending.channel.number), (0, 1))
        for message in messages:
            self.assertFalse(pair.wires[0].ended)
            pair.a.message_received(message)
        self.assertTrue(pair.wires[0].ended)
        self.assertIsNotNone(pending.failure)
        assert near.end is not None
        self.assertFalse(near.end[0])
        self.assertEqual((pair.a.channel_count, pair.accounts[0].used), (0, 0))
        pair.a.message_received(ChannelData(0, b"late").encode())

    def test_more_bytes_than_granted(self) -> None:
        parts = (stream(0, 32 * KIB), stream(32 * KIB, 32 * KIB), b"x")
        self.broken_by(*(ChannelData(0, part).encode() for part in parts))

    def test_more_bytes_than_granted_after_close(self) -> None:
        pair = Pair()
        near, _ = join(pair)
        near.channel.close("enough")
        for _ in range(2):
            pair.a.message_received(ChannelData(0, bytes(32 * KIB)).encode())
        self.assertFalse(pair.wires[0].ended)
        pair.a.message_received(ChannelData(0, b"x").encode())
        self.assertTrue(pair.wires[0].ended)

    def test_packet_too_large(self) -> None:
        self.broken_by(ChannelData(0, bytes(32 * KIB + 1)).encode())

    def test_window_overflow(self) -> None:
        self.broken_by(ChannelWindowAdjust(0, 2**32 - 1).encode())

    def test_bytes_after_eof(self) -> None:
        self.broken_by(ChannelEof(0).encode(), ChannelData(0, b"x").encode())

    def test_second_eof(self) -> None:
        self.broken_by(ChannelEof(0).encode(), ChannelEof(0).encode())

    def test_unknown_channel(self) -> None:
        self.broken_by(ChannelData(9, b"x").encode())

    def test_number_beyond_its_close(self) -> None:
        pair = Pair()
        near, _ = join(pair)
        near.channel.close("enough")
        pair.settle()
        pair.a.message_received(ChannelClose(0).encode())
        self.assertTrue(pair.wires[0].ended)

    def test_bytes_before_confirmation(self) -> None:
        self.broken_by(ChannelData(1, b"x").encode())

    def test_credit_before_confirmation(self) -> None:
        self.broken_by(ChannelWindowAdjust(1, 1).encode())

    def test_close_before_confirmation(self) -> None:
        self.broken_by(ChannelClose(1).encode())

    def test_second_confirmation(self) -> None:
        self.broken_by(ChannelOpenConfirmation(0, 0, 1, 32768).encode())

    def test_refusal_of_an_open_channel(self) -> None:
        self.broken_by(ChannelOpenFailure(0, 1, b"").encode())

    def test_replies_nobody_waits_for(self) -> None:
        for message in (RequestFailure(), RequestSuccess(), ChannelSuccess(0)):
            self.broken_by(message.encode())

    def test_messages_that_are_none(self) -> None:
        whole = ChannelData(0, b"four").encode()
        for message in (b"", b"\x01", b"\xff", whole[:-1], whole + b"x", b"^", b"]\0", b"P\0\0"):
            self.broken_by(message)

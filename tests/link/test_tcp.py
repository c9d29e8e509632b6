"""A channel joined to a real TCP connection: ends, resets and back-pressure."""

import contextlib
import socket
import struct

from twisted.internet import defer, protocol, reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.channels.wires import End, Pair, stream
from tunnelcloud.channels.splice import (
    END_REASON_REQUEST,
    NO_MORE_REQUEST,
    NOT_READING,
    TAKEN_REQUEST,
)
from tunnelcloud.link.read_ahead import DEFAULT_TOTAL, READ_AHEAD, ReadAhead
from tunnelcloud.link.tcp import FAREWELL_SIZE, TargetStream

KIB = 1024


def reset(sock):
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class TargetStreamTests(TestCase):
    """The target is a plain socket that a test reads and writes step by step."""

    @defer.inlineCallbacks
    def setUp(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.pair = Pair()
        self.client = End()
        self.client.channel = self.pair.a.open_channel(b"direct-tcpip", b"", self.client)
        self.pair.settle()
        self.channel = self.pair.users[1].asked[0][0]
        self.ahead = ReadAhead(DEFAULT_TOTAL)
        creator = protocol.ClientCreator(reactor, TargetStream, self.channel, reactor, self.ahead)
        self.stream = yield creator.connectTCP(*self.listener.getsockname())
        self.addCleanup(self.drop)
        self.target, _ = self.listener.accept()
        self.addCleanup(self.target.close)
        self.target.setblocking(False)
        self.pair.settle()
        self.assertTrue(self.client.is_open)

    def drop(self):
        self.pair.lose()
        self.assertEqual(self.ahead.held, 0)
        return self.until(lambda: not self.stream.transport.connected)

    @defer.inlineCallbacks
    def until(self, condition):
        """Turn the reactor, delivering all messages, until something holds."""
        turns = 0
        while not condition():
            self.pair.settle()
            yield deferLater(reactor, 0.001, lambda: None)
            turns += 1
            self.assertLess(turns, 5000, "it never came to be")

    @defer.inlineCallbacks
    def turns(self, count):
        """Turn the reactor so often, delivering all messages."""
        for _ in range(count):
            self.pair.settle()
            yield deferLater(reactor, 0.001, lambda: None)

    def read(self):
        """What the target has to read; b"" at the end of the stream, None when there is nothing."""
        try:
            return self.target.recv(1 << 20)
        except BlockingIOError:
            return None

    @defer.inlineCallbacks
    def test_half_close_each_way(self):
        self.client.eager = True
        self.client.write(100 * KIB)
        self.client.send_eof()
        seen = bytearray()

        def ended():
            data = self.read()
            seen.extend(data or b"")
            return data == b""

        yield self.until(ended)
        self.assertEqual(seen, stream(0, 100 * KIB))
        self.assertIsNone(self.client.end)
        self.target.send(stream(0, 5000))
        yield self.until(lambda: self.client.received == 5000)
        self.target.close()
        yield self.until(lambda: self.client.end)
        self.assertTrue(self.client.eof_seen)
        self.assertEqual(self.client.end, (True, ""))

    def test_keystrokes_go_at_once_and_a_vanished_target_is_noticed(self):
        sock = self.stream.transport.getHandle()
        self.assertTrue(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        idle, interval, count = (
            sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{name}"))
            for name in ("IDLE", "INTVL", "CNT")
        )
        self.assertLessEqual(idle + interval * count, 120)

    @defer.inlineCallbacks
    def test_target_ends_first(self):
        self.client.eager = True
        self.target.send(stream(0, 3000))
        self.target.shutdown(socket.SHUT_WR)
        yield self.until(lambda: self.client.eof_seen)
        self.client.write(10 * KIB)
        self.client.send_eof()
        seen = bytearray()
        yield self.until(lambda: seen.extend(self.read() or b"") or len(seen) == 10 * KIB)
        yield self.until(lambda: self.client.end)
        self.assertEqual(self.client.end, (True, ""))
        self.assertEqual(self.read(), b"")

    @defer.inlineCallbacks
    def test_reset_is_no_end_of_stream(self):
        self.client.write(1)
        yield self.until(lambda: self.read())
        reset(self.target)
        yield self.until(lambda: self.client.end)
        self.assertEqual(self.client.end, (False, "closed by the peer"))
        self.assertFalse(self.client.eof_seen)
        self.assertEqual(self.client.requests[1:], [(END_REASON_REQUEST, b"reset")])

    @defer.inlineCallbacks
    def test_reset_that_a_write_learns_of_is_no_end_of_stream(self):
        """The write takes the socket's error; what is read after that looks like an end."""
        reset(self.target)
        self.client.write(1000)
        self.pair.settle()
        yield self.until(lambda: self.client.end)
        self.assertFalse(self.client.eof_seen)
        self.assertEqual(self.client.end, (False, "closed by the peer"))
        self.assertEqual(self.client.requests[1:], [(END_REASON_REQUEST, b"reset")])

    @defer.inlineCallbacks
    def test_reset_that_the_reactor_takes_for_an_end_is_none(self):
        """It does when reading is resumed in the turn in which the socket hung up."""
        reset(self.target)
        self.stream.readConnectionLost()
        yield self.until(lambda: self.client.end)
        self.assertFalse(self.client.eof_seen)
        self.assertEqual(self.client.requests[1:], [(END_REASON_REQUEST, b"reset")])

    @defer.inlineCallbacks
    def test_what_the_target_sent_before_such_a_reset_arrives(self):
        self.client.eager = True
        self.target.send(stream(0, 5000))
        self.target.shutdown(socket.SHUT_WR)
        reset(self.target)
        self.client.write(1000)
        self.pair.settle()
        self.client.write(1000)
        yield self.until(lambda: self.client.end)
        self.assertEqual(self.client.received, 5000)
        self.assertEqual(self.client.end, (False, "closed by the peer"))

    @defer.inlineCallbacks
    def reset_after_its_end(self, size):
        """Have the target send so much, end, and reset, all before the link takes any of it."""
        self.pair.b.pause_sending()
        sent = 0
        while sent < size:
            sent += self.target.send(stream(sent, min(16 * KIB, size - sent)))
            yield self.until(lambda sent=sent: self.channel.queued == sent)
        self.target.shutdown(socket.SHUT_WR)
        yield self.until(lambda: self.stream._target_ended)
        reset(self.target)
        self.client.eager = True
        self.client.write(1000)
        yield self.until(lambda: self.stream._lost)
        self.assertIsNone(self.client.end)

    @defer.inlineCallbacks
    def test_reset_after_its_end_leaves_the_stream_whole(self):
        size = READ_AHEAD // 2
        yield self.reset_after_its_end(size)
        self.pair.b.resume_sending()
        yield self.until(lambda: self.client.end)
        self.assertEqual(self.client.received, size)
        self.assertTrue(self.client.eof_seen)
        self.assertEqual(self.client.end, (False, "closed by the peer"))

    @defer.inlineCallbacks
    def test_a_client_that_ends_after_that(self):
        """There is nobody left to tell, and no fault in that: it would end the whole link."""
        yield self.reset_after_its_end(READ_AHEAD // 2)
        self.client.send_eof()
        self.pair.settle()
        self.pair.b.resume_sending()
        yield self.until(lambda: self.client.end)
        self.assertEqual(self.client.received, READ_AHEAD // 2)

    @defer.inlineCallbacks
    def test_lost_client_resets_the_target(self):
        self.client.channel.close("gone")
        yield self.until(lambda: not self.stream.transport.connected)
        with self.assertRaises(ConnectionResetError):
            yield self.until(self.read)

    def want_no_more(self, patience=60):
        """Do what a pod does when its client has closed."""
        self.client.eager = True
        self.client.send_eof()
        self.client.channel.send_request(NO_MORE_REQUEST, struct.pack(">I", patience))
        self.pair.settle()

    @property
    def taken(self):
        """What the pod was told of the bytes that the target's system acknowledged."""
        told = [data for name, data in self.client.requests if name == TAKEN_REQUEST]
        return struct.unpack(">Q", told[-1])[0] if told else None

    @defer.inlineCallbacks
    def test_a_client_that_wants_no_more_is_delivered_whole(self):
        """To a target that speaks all the while and reads late; then it sees an end, no reset."""
        size = 1 << 20
        self.client.write(size)
        self.target.send(bytes(10_000))
        self.want_no_more()
        yield self.turns(20)
        self.assertIsNone(self.client.end)
        seen = 0

        def read_all():
            nonlocal seen
            while data := self.read():
                self.assertEqual(data[:64], stream(seen, len(data[:64])))
                seen += len(data)
            with contextlib.suppress(BlockingIOError):
                self.target.send(bytes(100))
            return data == b""

        yield self.until(read_all)
        self.assertEqual(seen, size)
        yield self.until(lambda: self.client.end)
        self.assertEqual((self.client.end, self.taken), ((True, ""), size))
        self.target.send(b"an answer that nobody waits for")
        self.target.close()
        yield self.until(lambda: not self.stream.transport.connected)

    @defer.inlineCallbacks
    def test_what_the_target_says_then_goes_nowhere(self):
        self.want_no_more()
        yield self.until(lambda: self.client.end)
        self.assertEqual((self.client.end, self.client.received), ((True, ""), 0))
        sent = 0
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):
            while sent < 2 * FAREWELL_SIZE:
                with contextlib.suppress(BlockingIOError):
                    sent += self.target.send(bytes(64 * KIB))
                yield self.turns(1)
        self.assertFalse(self.stream.transport.connected)

    @defer.inlineCallbacks
    def test_a_target_that_sends_all_the_while_sees_the_end_first(self):
        self.want_no_more()
        yield self.until(lambda: self.client.end)
        sent = 0
        while sent < FAREWELL_SIZE // 2:
            with contextlib.suppress(BlockingIOError):
                sent += self.target.send(bytes(64 * KIB))
            yield self.turns(1)
        self.assertEqual(self.read(), b"")

    @defer.inlineCallbacks
    def test_a_target_that_reads_nothing_is_given_up(self):
        self.client.write(32 << 20)
        self.client.channel.send_request(NO_MORE_REQUEST, struct.pack(">I", 1))
        yield self.until(lambda: self.client.end)
        self.assertEqual(self.client.requests[-1], (END_REASON_REQUEST, NOT_READING))
        self.assertEqual(self.client.end, (False, "closed by the peer"))
        self.assertLess(0, self.taken)
        self.assertLess(self.taken, self.client.drained_bytes)
        yield self.until(lambda: not self.stream.transport.connected)
        with self.assertRaises(ConnectionResetError):
            yield self.until(lambda: self.read() == b"")

    @defer.inlineCallbacks
    def test_what_a_target_had_acknowledged_when_it_reset(self):
        self.client.write(300 * KIB)
        yield self.until(lambda: self.client.drained_bytes == 300 * KIB)
        reset(self.target)
        yield self.until(lambda: self.client.end)
        self.assertLess(0, self.taken)
        self.assertLessEqual(self.taken, 300 * KIB)

    @defer.inlineCallbacks
    def test_a_link_lost_when_all_is_here_takes_nothing(self):
        size = 200 * KIB
        self.client.write(size)
        yield self.until(lambda: self.client.drained_bytes == size)
        self.want_no_more()
        self.pair.lose()
        seen = bytearray()

        def read_all():
            while data := self.read():
                seen.extend(data)
            return data == b""

        yield self.until(read_all)
        self.assertEqual(seen, stream(0, size))
        self.target.close()
        yield self.until(lambda: not self.stream.transport.connected)

    @defer.inlineCallbacks
    def test_a_clean_end_waits_for_what_the_target_reads_late(self):
        self.client.eager = True
        self.target.shutdown(socket.SHUT_WR)
        size = 1 << 20
        self.client.write(size)
        self.client.send_eof()
        yield self.turns(20)
        self.assertIsNone(self.client.end)
        yield self.until(lambda: self.read() == b"")
        yield self.until(lambda: self.client.end)
        self.assertEqual((self.client.end, self.taken), ((True, ""), size))

    @defer.inlineCallbacks
    def test_target_that_does_not_read_holds_the_client(self):
        window = self.channel.window
        self.client.write(32 << 20)
        previous = -1
        while self.client.drained_bytes != previous:
            previous = self.client.drained_bytes
            for _ in range(50):
                self.pair.settle()
                yield deferLater(reactor, 0.001, lambda: None)
        self.assertEqual(window.granted, 0)
        self.assertLess(self.client.drained_bytes, 16 << 20)
        seen = 0
        end = 32 << 20

        def read_all():
            nonlocal seen
            while data := self.read():
                self.assertEqual(data[:64], stream(seen, len(data[:64])))
                seen += len(data)
            return seen == end

        yield self.until(read_all)

    @defer.inlineCallbacks
    def test_client_that_does_not_read_holds_the_target(self):
        sent = 0
        idle = 0
        while idle < 100:
            try:
                sent += self.target.send(stream(sent, 64 * KIB))
                idle = 0
            except BlockingIOError:
                idle += 1
            self.pair.settle()
            yield deferLater(reactor, 0.0005, lambda: None)
        self.assertLessEqual(self.channel.queued, 2 * READ_AHEAD)
        self.assertEqual(self.client.received, 64 * KIB)
        self.client.eager = True
        self.client.consume(64 * KIB)
        yield self.until(lambda: self.client.received == sent)

from io import BytesIO

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource

from tunnelcloud.net.sockets import SMALL_READ
from tunnelcloud.net.spreading import STEPS_A_TURN
from tunnelcloud.web.http_limits import (
    CLOSING_SECONDS,
    LONGEST_TRAILERS,
    MAX_CONNECTIONS,
    MOST_LINES,
    REQUEST_SECONDS,
    LimitedChannel,
    LimitedSite,
)
from tunnelcloud.web.sizes import MAX_BODY, MAX_FORM

ROOM = MAX_CONNECTIONS - MAX_CONNECTIONS // 8
"""For all but administrators."""


class Echo(Resource):
    isLeaf = True

    def render_POST(self, request):
        if request.body_too_big:
            request.setResponseCode(413)
            return b"too big"
        return b"%d" % len(request.content.read())

    def render_GET(self, request):
        return b"hello"


class LimitsTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.site = LimitedSite(Echo(), self.clock, big_bodies=[b"/"])
        self.transport = StringTransport()
        self.channel = self.site.buildProtocol(None)
        self.channel.makeConnection(self.transport)

    def send(self, data):
        """Have a read bring something, in a turn of the reactor of its own."""
        self.clock.advance(0)
        self.channel.dataReceived(data)
        self.clock.advance(0)

    def post(self, size, promised=None, path=b"/", header=b"Authorization: x\r\n"):
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
        self.send(head % (path, promised or size) + header + b"\r\n")
        for start in range(0, size, 65536):
            self.send(b"x" * min(65536, size - start))
        self.clock.advance(0)
        return self.transport.value()

    def test_a_body_of_the_limit(self):
        self.assertTrue(self.post(MAX_BODY).endswith(b"\r\n\r\n1048576"))

    def test_a_body_of_one_more(self):
        self.assertTrue(self.post(MAX_BODY + 1).startswith(b"HTTP/1.1 413 "))

    def test_a_big_body_of_nobody_or_elsewhere(self):
        for path, header in [(b"/", b""), (b"/x", b"Authorization: x\r\n")]:
            self.transport.clear()
            self.assertIn(b"%d" % MAX_FORM, self.post(MAX_FORM, path=path, header=header))
            self.transport.clear()
            answer = self.post(MAX_FORM + 1, path=path, header=header)
            self.assertIn(b"HTTP/1.1 413 ", answer)

    def test_a_body_takes_no_descriptor(self):
        for header in (b"Content-Length: 1048576\r\n", b"Transfer-Encoding: chunked\r\n"):
            channel = self.site.buildProtocol(None)
            channel.makeConnection(StringTransport())
            channel.dataReceived(b"POST / HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n")
            self.assertIsInstance(channel.requests[0].content, BytesIO)
            channel.setTimeout(None)

    def test_what_is_too_big_is_not_kept(self):
        self.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for _ in range(20):
            self.send(chunk)
        self.assertEqual(self.channel.requests[0].content.seek(0, 2), 0)
        self.send(b"0\r\n\r\n")
        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 413 "))

    def test_who_goes_on_sending_is_hung_up_on(self):
        self.post(17 * MAX_BODY, promised=1 << 40)
        self.assertTrue(self.transport.disconnecting)

    def send_chunks(self, size, count):
        """Send a body in chunks of a size."""
        chunk = b"%x\r\n%s\r\n" % (size, b"a" * size)
        self.send(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, count, 1000):
            if not self.transport.disconnecting:
                self.send(chunk * min(1000, count - start))

    def test_chunks_of_next_to_nothing(self):
        """64 KiB of them kept the pod busy for 44 ms: it looks at the first thousand."""
        self.send_chunks(1, 1000)
        self.assertFalse(self.transport.disconnecting)
        self.setUp()
        self.send(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.send(b"1\r\na\r\n" * 10_000)
        self.assertTrue(self.transport.disconnecting)
        self.assertLess(self.channel.requests[0].content.tell(), 1100)
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_small_chunks_are_borne(self):
        self.send_chunks(64, 2000)
        self.send(b"0\r\n\r\n")
        self.assertTrue(self.transport.value().endswith(b"\r\n\r\n128000"))

    def test_a_head_in_pieces_of_next_to_nothing(self):
        """A read of TLS may have thousands, and each costs as much as there is of the line."""
        self.send(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 1000)
        taken = 0
        while not self.transport.disconnecting:
            self.send(b"a")
            taken += 1
            self.assertLess(taken, 300)
        self.assertGreater(taken, 250)
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_each_head_may_come_in_some_pieces(self):
        """As of a program that writes each header by itself."""
        for _ in range(10):
            self.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
            for number in range(150):
                self.send(b"X-%d: a\r\n" % number)
            self.send(b"\r\n")
            self.clock.advance(0)
            self.assertTrue(self.transport.value().endswith(b"hello"))
            self.transport.clear()
        self.assertFalse(self.transport.disconnecting)

    def test_a_body_may_come_in_many_pieces(self):
        self.send(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n")
        for _ in range(3000):
            self.send(b"a")
        self.assertTrue(self.transport.value().endswith(b"\r\n\r\n3000"))

    def test_lines_that_continue_a_header(self):
        """The parser copies what it has read for each: 45 KB of them took it 74 ms."""
        self.send(b"GET / HTTP/1.1\r\nX-A: a" + b"\r\n " * (MOST_LINES - 3))
        self.assertFalse(self.transport.disconnecting)
        self.send(b"\r\n " * 3)
        self.assertTrue(self.transport.disconnecting)

    def test_each_head_may_have_many_lines(self):
        for _ in range(3):
            lines = b"".join(b"X-%d: a\r\n" % number for number in range(400))
            self.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")
            self.clock.advance(0)
            self.assertTrue(self.transport.value().endswith(b"hello"))
            self.transport.clear()

    def test_what_comes_behind_the_last_chunk(self):
        """The parser searches it from its start for each piece: 64 KiB in pieces took a second."""
        head = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        self.send(head + b"X-A: " + b"a" * (LONGEST_TRAILERS - 9) + b"\r\n\r\n")
        self.clock.advance(0)
        self.assertTrue(self.transport.value().endswith(b"\r\n\r\n0"))
        self.transport.clear()
        self.send(head + b"a" * LONGEST_TRAILERS)
        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 400 "))
        self.assertTrue(self.transport.disconnecting)

    def test_a_length_of_thousands_of_digits(self):
        """Python reads no such number, and says so by an error: a traceback for each in the log."""
        self.send(b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n")
        self.assertTrue(self.transport.disconnecting)

    def test_a_turn_reads_little(self):
        """Of TLS, too, whose records may be of a byte each."""

        class Secured(StringTransport):
            transport = None

        for transport in (StringTransport(), Secured()):
            beneath = transport
            if isinstance(transport, Secured):
                beneath = transport.transport = StringTransport()
            channel = self.site.buildProtocol(None)
            channel.makeConnection(transport)
            self.assertEqual(beneath.bufferSize, SMALL_READ)
            channel.setTimeout(None)

    def test_a_client_that_never_agrees_to_the_end(self):
        """With TLS the connection goes on until it does; it gets its time, and is not read."""
        self.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertTrue(self.transport.disconnecting)
        for _ in range(10):
            self.send(b"a" * 65_536)
        self.assertEqual(self.channel._dataBuffer, [])
        self.clock.advance(CLOSING_SECONDS - 1)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(1)
        self.assertTrue(self.transport.disconnected)
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_client_that_was_too_slow_has_less_time_for_the_end(self):
        self.send(b"GET")
        self.clock.advance(REQUEST_SECONDS)
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(self.channel.abortTimeout)
        self.assertTrue(self.transport.disconnected)

    def drip(self, data):
        """Send a byte every second until the channel hangs up; give how many went through."""
        for count in range(len(data)):
            if self.transport.disconnecting:
                return count
            self.send(data[count : count + 1])
            self.clock.advance(1)
        return len(data)

    def test_a_drip_of_headers_ends(self):
        self.assertEqual(self.drip(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 1000), REQUEST_SECONDS)

    def test_a_drip_of_body_ends(self):
        self.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        self.assertEqual(self.drip(b"a" * 1000), REQUEST_SECONDS)

    def test_a_second_request_has_its_own_time(self):
        for _ in range(3):
            self.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.clock.advance(REQUEST_SECONDS - 1)
        self.assertEqual(self.transport.value().count(b"hello"), 3)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.transport.disconnecting)


class Answers(Resource):
    """Counts what was asked for; an answer is as long as a test says."""

    isLeaf = True

    def __init__(self, length):
        super().__init__()
        self.length = length
        self.asked = 0

    def render_GET(self, request):
        self.asked += 1
        return b"a" * self.length


class TurningClock(Clock):
    """A clock whose calls wait for the reactor's next turn, as a reactor's do."""

    def turn(self):
        for call in [one for one in self.calls if one.getTime() <= self.seconds()]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class OpenTransport(StringTransport):
    """A transport that can be read until the peer agrees to its end, as one of TLS."""

    def resumeProducing(self):
        self.producerState = "producing"


class PipeliningTests(SynchronousTestCase):
    """Requests sent without waiting for answers."""

    def connect(self, length):
        self.clock = TurningClock()
        self.root = Answers(length)
        site = LimitedSite(self.root, self.clock)
        self.transport = OpenTransport()
        self.channel = site.buildProtocol(None)
        self.channel.makeConnection(self.transport)
        self.addCleanup(self.channel.setTimeout, None)

    def send(self, count):
        self.channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count)

    def test_the_reactor_turns_between_requests(self):
        self.connect(10)
        self.send(1500)
        for turn in range(1, 1501):
            self.assertEqual(self.root.asked, turn)
            self.clock.turn()
        self.assertEqual(self.root.asked, 1500)
        self.assertEqual(self.transport.value().count(b"200 OK"), 1500)

    def test_unread_answers_hold_the_next_request_up(self):
        self.connect(1000)
        self.send(1)
        self.assertEqual(self.root.asked, 1)
        self.channel.pauseProducing()  # as a transport does whose buffer is full
        self.send(1000)
        for _ in range(10):
            self.clock.turn()
        self.assertLessEqual(self.root.asked, 2)
        self.assertEqual(self.transport.producerState, "paused")
        self.channel.resumeProducing()
        for _ in range(1100):
            self.clock.turn()
        self.assertEqual(self.root.asked, 1001)
        self.assertEqual(self.transport.producerState, "producing")

    def test_the_connections_of_all_strangers_share_a_turn(self):
        """500 that had sent 400 lines each kept the reactor for 0.7 s; 500 requests for 0.2 s."""
        lines = b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 400
        whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        taken, receive = [], LimitedChannel._receive
        self.patch(
            LimitedChannel, "_receive", lambda one, came: (taken.append(one), receive(one, came))
        )
        for data, most in ((lines, 3), (whole, 8)):
            self.connect(10)
            site = self.channel.site
            taken.clear()
            channels = []
            for number in range(100):
                address = IPv4Address("TCP", f"192.{number // 2}.2.1", 1)
                channels.append(site.buildProtocol(address))
                channels[-1].makeConnection(StringTransport(peerAddress=address))
                channels[-1].dataReceived(data)
            self.assertLessEqual(len(taken), most)
            before = len(taken)
            for _ in range(100):
                self.clock.turn()
                self.assertLessEqual(len(taken) - before, most)
                before = len(taken)
            self.assertEqual(set(taken), set(channels))
            for one in channels:
                one.connectionLost(Failure(ConnectionDone()))

    def test_pieces_that_come_meanwhile_keep_their_order(self):
        self.connect(10)
        text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50
        for start in range(0, len(text), 7):
            self.channel.dataReceived(text[start : start + 7])
            if start % 3 == 0:
                self.clock.turn()
        for _ in range(60):
            self.clock.turn()
        self.assertEqual(self.root.asked, 50)
        self.assertEqual(self.transport.value().count(b"200 OK"), 50)

    def test_pieces_that_come_meanwhile_are_one(self):
        """Twisted counts all of them at each: 16 KiB of a byte each took it three seconds."""
        self.connect(10)
        self.send(2)
        for _ in range(3000):
            self.channel.dataReceived(b"a")
        self.assertLessEqual(len(self.channel._dataBuffer), 1)
        self.assertEqual(self.transport.producerState, "paused")

    def test_who_never_reads_is_hung_up_on(self):
        self.connect(1000)
        self.send(3)
        self.channel.pauseProducing()
        self.clock.advance(REQUEST_SECONDS)
        self.assertTrue(self.transport.disconnecting)

    def test_nothing_is_asked_after_the_end(self):
        """Who reads the answer once it is too late isn't answered the next."""
        self.connect(1000)
        self.send(3)
        self.channel.pauseProducing()
        self.clock.advance(REQUEST_SECONDS)
        self.channel.resumeProducing()
        for _ in range(10):
            self.clock.turn()
        self.assertEqual(self.root.asked, 1)

    def wait_for_a_turn(self):
        """Have a request wait that came behind a read that took all of a turn."""
        self.connect(10)
        self.channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 499)
        self.channel.dataReceived(b"\r\n")
        self.assertEqual(self.root.asked, 0)
        self.assertEqual(self.transport.producerState, "paused")

    def test_who_waited_for_a_turn_is_answered_and_read(self):
        self.wait_for_a_turn()
        self.clock.turn()
        self.assertEqual(self.root.asked, 1)
        self.assertEqual(self.transport.producerState, "producing")

    def test_the_end_of_who_waited_is_read(self):
        """With TLS the client's agreement comes behind what is dropped."""
        self.wait_for_a_turn()
        self.channel.loseConnection()
        self.clock.turn()
        self.assertEqual(self.root.asked, 0)
        self.assertEqual(self.transport.producerState, "producing")

    def test_a_fault_in_a_turn_ends_its_connection(self):
        """As one in a read does."""
        self.wait_for_a_turn()
        self.patch(LimitedChannel, "_receive", lambda channel, data: 1 / 0)
        self.assertRaises(ZeroDivisionError, self.clock.turn)
        self.assertTrue(self.transport.disconnecting)

    def test_a_connection_that_is_lost_between_two_requests(self):
        self.connect(10)
        self.send(5)
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.clock.turn()
        self.assertEqual(self.root.asked, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_parts_of_twisted_that_this_stands_on(self):
        self.connect(10)
        for name in ("_dataBuffer", "_handlingRequest", "_savedTimeOut", "_waitingForTransport"):
            self.assertTrue(hasattr(self.channel, name), name)
        self.channel.dataReceived(b"GET /a?b HTTP/1.1\r\n")
        self.assertEqual(self.channel._path, b"/a?b")
        self.assertTrue(issubclass(LimitedChannel, HTTPChannel))


class LateTests(SynchronousTestCase):
    def test_many_whose_time_is_over_end_a_few_in_each_turn(self):
        """25 took 42 ms of a turn; so many came in the next meanwhile that turns grew."""
        clock = TurningClock()
        site = LimitedSite(Echo(), clock)
        transports = [OpenTransport() for _ in range(40)]
        for transport in transports:
            site.buildProtocol(None).makeConnection(transport)
        clock.rightNow += REQUEST_SECONDS
        before, turns = 0, 0
        while before < len(transports):
            clock.turn()
            now = sum(transport.disconnecting for transport in transports)
            self.assertLessEqual(now - before, STEPS_A_TURN)
            before, turns = now, turns + 1
            self.assertLess(turns, 10)


class ConnectionsTests(SynchronousTestCase):
    def setUp(self):
        self.site = LimitedSite(Echo(), Clock())

    def connect(self, host):
        address = IPv4Address("TCP", host, 1)
        channel = self.site.buildProtocol(address)
        if channel is None:
            return None
        channel.makeConnection(StringTransport(peerAddress=address))
        return channel

    def test_a_crowd_keeps_no_other_out(self):
        crowd = [self.connect("192.0.2.1") for _ in range(ROOM - 1)]
        first = self.connect("192.0.2.2")
        self.assertIsNone(self.connect("192.0.2.1"))
        other = self.connect("192.0.2.3")
        other.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"hello", other.transport.value())
        self.assertEqual(
            [one.transport.disconnected for one in (*crowd[:2], first)], [True, False, False]
        )

    def test_an_administrators_connection_stays(self):
        own = self.connect("192.0.2.1")
        own.keep_place()
        crowd = [self.connect("192.0.2.1") for _ in range(ROOM)]
        self.assertIsNotNone(self.connect("192.0.2.2"))
        self.assertTrue(crowd[0].transport.disconnected)
        self.assertFalse(own.transport.disconnected)
        own.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.site.reserved, set())

    def test_the_reserve_is_bounded(self):
        for _ in range(MAX_CONNECTIONS // 8):
            self.connect("192.0.2.1").keep_place()
        beyond = self.connect("192.0.2.1")
        beyond.keep_place()
        self.assertNotIn(beyond, self.site.reserved)

    def test_who_left_makes_room(self):
        crowd = [self.connect("192.0.2.1") for _ in range(ROOM)]
        self.assertIsNone(self.connect("192.0.2.1"))
        crowd[7].connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(self.connect("192.0.2.1"))

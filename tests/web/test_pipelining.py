from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource

from tests.web.test_http_limits import Echo
from tunnelcloud.net.spreading import STEPS_A_TURN
from tunnelcloud.web.http_limits import REQUEST_SECONDS, LimitedChannel, LimitedSite


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

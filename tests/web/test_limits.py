from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from tunnelcloud.web.limits import MAX_BODY, MAX_CONNECTIONS, REQUEST_SECONDS, LimitedSite


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
        self.site = LimitedSite(Echo(), self.clock)
        self.transport = StringTransport()
        self.channel = self.site.buildProtocol(None)
        self.channel.makeConnection(self.transport)

    def send(self, data):
        self.channel.dataReceived(data)

    def post(self, size, promised=None):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        self.send(head % (promised or size))
        for start in range(0, size, 65536):
            self.send(b"x" * min(65536, size - start))
        return self.transport.value()

    def test_a_body_of_the_limit(self):
        self.assertTrue(self.post(MAX_BODY).endswith(b"\r\n\r\n1048576"))

    def test_a_body_of_one_more(self):
        self.assertTrue(self.post(MAX_BODY + 1).startswith(b"HTTP/1.1 413 "))

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
        crowd = [self.connect("192.0.2.1") for _ in range(MAX_CONNECTIONS - 1)]
        first = self.connect("192.0.2.2")
        self.assertIsNone(self.connect("192.0.2.1"))
        other = self.connect("192.0.2.3")
        other.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"hello", other.transport.value())
        self.assertEqual(
            [one.transport.disconnected for one in (*crowd[:2], first)], [True, False, False]
        )

    def test_who_left_makes_room(self):
        crowd = [self.connect("192.0.2.1") for _ in range(MAX_CONNECTIONS)]
        self.assertIsNone(self.connect("192.0.2.1"))
        crowd[7].connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(self.connect("192.0.2.1"))

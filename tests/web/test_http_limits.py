from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from tunnelcloud.net.sockets import SMALL_READ
from tunnelcloud.web.http_limits import (
    CLOSING_SECONDS,
    LONGEST_TRAILERS,
    MOST_LINES,
    REQUEST_SECONDS,
    LimitedSite,
)
from tunnelcloud.web.sizes import MAX_BODY, MAX_FORM


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
        self.asked, self.known = [], None
        self.site = LimitedSite(Echo(), self.clock, big_bodies={b"/": self.vouch})
        self.transport = StringTransport()
        self.channel = self.site.buildProtocol(None)
        self.channel.makeConnection(self.transport)

    async def vouch(self, request):
        """Say whether whoever asks may send much, at once or when ``known`` fires."""
        self.asked.append(request)
        if self.known is not None:
            await self.known
        return request.getHeader("authorization") == "x"

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
        good, wrong = b"Authorization: x\r\n", b"Authorization: y\r\n"
        for path, header in [(b"/", b""), (b"/", wrong), (b"/x", good)]:
            self.transport.clear()
            self.assertIn(b"%d" % MAX_FORM, self.post(MAX_FORM, path=path, header=header))
            self.transport.clear()
            answer = self.post(MAX_FORM + 1, path=path, header=header)
            self.assertIn(b"HTTP/1.1 413 ", answer)

    def test_until_it_is_known_who_sends_it_little_is_read(self):
        """A stranger with 400 connections had the pod keep 400 MiB."""
        for header, answer in (
            (b"Authorization: x\r\n", b"\r\n\r\n1048576"),
            (b"Authorization: y\r\n", b"too big"),
        ):
            for coding in (b"Content-Length: 1048576", b"Transfer-Encoding: chunked"):
                self.setUp()
                self.known, sent = Deferred(), 0
                self.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + header + coding + b"\r\n\r\n")
                is_chunked = coding.endswith(b"chunked")
                for number in range(2):
                    while sent < MAX_BODY and self.transport.producerState == "producing":
                        piece = b"x" * 65536
                        self.send(b"10000\r\n" + piece + b"\r\n" if is_chunked else piece)
                        sent += len(piece)
                    if number == 0:
                        self.assertLessEqual(sent, MAX_FORM + 65536)
                        self.known.callback(None)
                        self.assertEqual(self.transport.producerState, "producing")
                if is_chunked:
                    self.send(b"0\r\n\r\n")
                self.assertTrue(self.transport.value().endswith(answer), self.transport.value())

    def test_nobody_is_asked_about_small_bodies(self):
        self.post(MAX_FORM)
        self.assertEqual(self.asked, [])

    def test_one_that_is_complete_before_it_is_known(self):
        self.known = Deferred()
        answer = self.post(MAX_FORM + 1)
        self.assertTrue(answer.endswith(b"\r\n\r\n131073"))
        self.known.callback(None)
        self.assertTrue(self.post(5).endswith(b"\r\n\r\n5"))

    def test_a_client_that_goes_meanwhile(self):
        self.known = Deferred()
        self.post(MAX_FORM + 1, MAX_BODY)
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.known.called, "nobody waits for it")

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

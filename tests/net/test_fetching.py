"""Why a server elsewhere gave no answer, in words; and what it may say at most."""

import gzip
from pathlib import Path

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error, reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

from tests.pod.certificates import write_certificate
from tests.web.words import words_of_the_code
from tunnelcloud.net import bounded_connections, http_fetch
from tunnelcloud.net.fetching import FetchFailed
from tunnelcloud.net.http_fetch import HttpFetch
from tunnelcloud.net.sockets import SMALL_READ
from tunnelcloud.net.trusted_authorities import trusted


class FailingClient:
    def __init__(self, answer):
        self.answer = answer

    def request(self, *_, **__):
        return self.answer


class LongResponse:
    code = 200
    length = UNKNOWN_LENGTH
    headers = Headers({})

    def __init__(self, count):
        self.count = count

    def deliverBody(self, protocol):
        for _ in range(self.count):
            protocol.dataReceived(b"x" * 65_536)
        protocol.connectionLost(Failure(ResponseDone()))


class DrippingResponse:
    code = 200
    length = UNKNOWN_LENGTH
    headers = Headers({})

    def deliverBody(self, protocol):
        self.protocol, self.transport = protocol, StringTransport()
        protocol.makeConnection(self.transport)


class FetchingTests(SynchronousTestCase):
    def ask(self, answer):
        self.clock = Clock()
        fetch = HttpFetch(self.clock)
        fetch._agent = lambda connection: FailingClient(answer)
        asking = fetch("GET", "https://login.example.com/", {}, None)
        return Deferred.fromCoroutine(asking)

    def said(self, asking):
        text = str(self.failureResultOf(asking, FetchFailed).value)
        self.assertEqual(words_of_the_code(text), [])
        return text

    def test_why_there_is_no_answer(self):
        for wrong, words in [
            (SSL.Error([("SSL routines", "", "certificate verify failed")]), "this machine trusts"),
            (VerificationError([]), "for another name"),
            (error.DNSLookupError("login.example.com"), "no such host"),
            (error.ConnectionRefusedError(), "was refused"),
            (error.TimeoutError(), "no answer within 10 s"),
            (error.ConnectionLost(), "hung up"),
            (error.NoRouteError(), "no way"),
            (OSError(5, "Input/output error"), "the connection failed"),
        ]:
            self.assertIn(words, self.said(self.ask(fail(wrong))))
            self.assertIn(words, self.said(self.ask(fail(ResponseFailed([Failure(wrong)])))))
        never = ResponseNeverReceived([Failure(SSL.Error([]))])
        self.assertIn("this machine trusts", self.said(self.ask(fail(never))))

    def test_how_long_an_answer_may_be(self):
        answer = self.successResultOf(self.ask(succeed(LongResponse(8))))
        self.assertEqual((answer.status, len(answer.body)), (200, 524_288))
        self.assertIn("bigger than 524288 bytes", self.said(self.ask(succeed(LongResponse(9)))))

    def test_one_that_drips(self):
        """It has its time, however often a byte comes."""
        response = DrippingResponse()
        asking = self.ask(succeed(response))
        for _ in range(9):
            self.clock.advance(1)
            response.protocol.dataReceived(b" ")
        self.assertNoResult(asking)
        self.clock.advance(1)
        self.assertEqual(self.said(asking), "no answer within 10 s")
        response.protocol.dataReceived(b" ")
        response.protocol.connectionLost(Failure(error.ConnectionAborted()))

    def test_one_that_is_too_long(self):
        response = DrippingResponse()
        asking = self.ask(succeed(response))
        response.protocol.dataReceived(b"x" * 524_289)
        self.assertIn("bigger than 524288 bytes", self.said(asking))

    def test_one_that_hangs_up_midway(self):
        response = DrippingResponse()
        asking = self.ask(succeed(response))
        response.protocol.connectionLost(Failure(ResponseFailed([Failure(error.ConnectionLost())])))
        self.assertIn("hung up", self.said(asking))

    def test_one_that_is_silent(self):
        asking = self.ask(Deferred())
        self.clock.advance(10)
        self.assertEqual(self.said(asking), "no answer within 10 s")


class Stubborn(Protocol):
    """A server that has said something and never closes, whoever wants to."""

    said = b""

    def dataReceived(self, data):
        self.transport.write(self.said)

    def connectionLost(self, reason):
        self.factory.lost.callback(None)


class HangUpTests(TestCase):
    """No server keeps a connection that nobody waits for, by TCP or by TLS."""

    timeout = 60

    def setUp(self):
        self.patch(http_fetch, "_SECONDS", 0.5)
        directory = Path(self.mktemp())
        directory.mkdir()
        self.ca, key = directory / "certificate.pem", directory / "key.pem"
        write_certificate(self.ca, key, "localhost")
        self.options = PrivateCertificate.loadPEM(self.ca.read_bytes() + key.read_bytes()).options()

    async def ask(self, said, *tls):
        """Ask; give the answer, or why there is none, once the server has lost the client."""
        server = Factory.forProtocol(type("Server", (Stubborn,), {"said": said}))
        server.lost = Deferred()
        listen = reactor.listenSSL if tls else reactor.listenTCP
        port = listen(0, server, *tls, interface="127.0.0.1")
        address = f"http{'s' if tls else ''}://localhost:{port.getHost().port}/"
        try:
            answer = await HttpFetch(reactor, trusted(self.ca))("GET", address, {}, None)
        except FetchFailed as failed:
            answer = str(failed)
        await server.lost.addTimeout(10, reactor)
        await port.stopListening()
        return answer

    async def _ask_all(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: "
        for tls in ((), (self.options,)):
            self.assertIn("no answer within", await self.ask(head + b"9\r\n\r\nx", *tls))
            long = head + b"600000\r\n\r\n" + bytes(530_000)
            self.assertIn("bigger than", await self.ask(long, *tls))
            self.assertEqual((await self.ask(head + b"2\r\n\r\nhi", *tls)).body, b"hi")

    def test_slow_long_and_good_answers(self):
        return Deferred.fromCoroutine(self._ask_all())


class Server:
    """Stands for a TCP endpoint: the bytes of one connection."""

    def __init__(self, *_, **__):
        pass

    def connect(self, factory):
        self.protocol = factory.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        Server.last = self
        return succeed(self.protocol)

    def says(self, data):
        self.protocol.dataReceived(data)
        if self.transport.disconnected:
            self.protocol.connectionLost(Failure(error.ConnectionAborted()))


class WireTests(SynchronousTestCase):
    def ask(self, method="GET", headers=None, body=None):
        self.patch(bounded_connections, "HostnameEndpoint", Server)
        clock = Clock()
        fetch = HttpFetch(clock)
        asking = fetch(method, "http://ca.example.com/a?b#c", headers or {}, body)
        asked = Deferred.fromCoroutine(asking)
        clock.pump([0, 0, 0])
        return asked

    def test_an_answer_with_its_headers(self):
        asking = self.ask("POST", {"Content-Type": "text/x"}, b"body")
        sent = Server.last.transport.value()
        self.assertTrue(sent.startswith(b"POST /a?b HTTP/1.1\r\n"), sent)
        for line in (b"Host: ca.example.com", b"Content-Type: text/x", b"Content-Length: 4"):
            self.assertIn(b"\r\n" + line + b"\r\n", sent)
        self.assertTrue(sent.endswith(b"\r\n\r\nbody"))
        Server.last.says(b"HTTP/1.1 201 Made\r\nX-A: 1\r\nX-a: 2\r\nContent-Length: 2\r\n\r\nhi")
        answer = self.successResultOf(asking)
        self.assertEqual((answer.status, answer.body, answer.headers["x-a"]), (201, b"hi", "1, 2"))

    def test_a_turn_reads_little(self):
        self.ask()
        self.assertEqual(Server.last.transport.bufferSize, SMALL_READ)

    def test_a_redirect_is_an_answer(self):
        asking = self.ask()
        Server.last.says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n")
        Server.last.protocol.connectionLost(Failure(error.ConnectionDone()))
        self.assertEqual(self.successResultOf(asking).status, 302)

    def test_headers_and_empty_answers_without_an_end(self):
        for first, again in (
            (b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 1000 + b"\r\n"),
            (b"HTTP/1.1 200 OK\r\nX-A: a\r\n", b" " + b"a" * 1000 + b"\r\n"),
            (b"", b"HTTP/1.1 100 Continue\r\nX-A: " + b"a" * 1000 + b"\r\n\r\n"),
        ):
            asking = self.ask()
            Server.last.says(first)
            said = 0
            while said < 1_000_000 and not Server.last.transport.disconnected:
                Server.last.says(again)
                said += len(again)
            self.assertLess(said, 700_000)
            failure = self.failureResultOf(asking, FetchFailed)
            self.assertIn("says more than 655360 bytes", str(failure.value))

    def test_nothing_of_one_answer_is_told_to_the_next_server(self):
        """A server's cookies are not kept."""
        self.ask()
        Server.last.says(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\n\r\n")
        self.ask()
        self.assertNotIn(b"Cookie", Server.last.transport.value())

    def test_an_answer_that_is_packed(self):
        """None is asked for, so none is unpacked: a small one could become very large."""
        asking = self.ask()
        self.assertNotIn(b"gzip", Server.last.transport.value())
        packed = gzip.compress(b"x" * 10_000_000)
        Server.last.says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed)
        Server.last.protocol.connectionLost(Failure(error.ConnectionDone()))
        self.assertEqual(len(self.successResultOf(asking).body), len(packed))

"""Why a provider gave no answer, in words."""

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.iweb import UNKNOWN_LENGTH

from tests.web.words import words_of_the_code
from tunnelcloud.web.oidc.fetching import FetchFailed, HttpFetch


class FailingClient:
    def __init__(self, answer):
        self.answer = answer

    def request(self, *_, **__):
        return self.answer


class LongResponse:
    code = 200
    length = UNKNOWN_LENGTH

    def __init__(self, count):
        self.count = count

    def deliverBody(self, protocol):
        for _ in range(self.count):
            protocol.dataReceived(b"x" * 65_536)
        protocol.connectionLost(Failure(ResponseDone()))


class DrippingResponse:
    code = 200
    length = UNKNOWN_LENGTH

    def deliverBody(self, protocol):
        self.protocol, self.transport = protocol, StringTransport()
        protocol.makeConnection(self.transport)


class FetchingTests(SynchronousTestCase):
    def ask(self, answer):
        self.clock = Clock()
        fetch = HttpFetch(self.clock)
        fetch._client = FailingClient(answer)
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
        """It has its time, however often a byte comes; then its connection goes, too."""
        response = DrippingResponse()
        asking = self.ask(succeed(response))
        for _ in range(9):
            self.clock.advance(1)
            response.protocol.dataReceived(b" ")
        self.assertFalse(response.transport.disconnecting)
        self.clock.advance(1)
        self.assertEqual(self.said(asking), "no answer within 10 s")
        self.assertTrue(response.transport.disconnected)
        response.protocol.dataReceived(b" ")
        response.protocol.connectionLost(Failure(error.ConnectionAborted()))

    def test_one_that_is_too_long_is_hung_up_on(self):
        response = DrippingResponse()
        asking = self.ask(succeed(response))
        response.protocol.dataReceived(b"x" * 524_289)
        self.assertIn("bigger than 524288 bytes", self.said(asking))
        self.assertTrue(response.transport.disconnected)

    def test_one_that_hangs_up_midway(self):
        response = DrippingResponse()
        asking = self.ask(succeed(response))
        response.protocol.connectionLost(Failure(ResponseFailed([Failure(error.ConnectionLost())])))
        self.assertIn("hung up", self.said(asking))

    def test_one_that_is_silent(self):
        asking = self.ask(Deferred())
        self.clock.advance(10)
        self.assertEqual(self.said(asking), "no answer within 10 s")

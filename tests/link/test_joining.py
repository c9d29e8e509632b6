from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.link.tls_wires import TLSWire, now, only
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused
from tunnelcloud.link.join_messages import JoinDenied, JoinGranted, JoinRequest, RenewalRequest
from tunnelcloud.link.joining import JoinClient, JoinServer
from tunnelcloud.link.tls import JoinTLS, PodTLS
from tunnelcloud.pki.authority import CertificateAuthority

SECRET = bytes(range(20))
GRANTED = JoinGranted(connector_id="con_1", certificate="PEM", pods=("pod.example:8443",))


@implementer(IHandshakeListener)
class RawClient(Protocol):
    """Sends bytes of a test's choice."""

    received = b""
    lost = False

    def __init__(self, data):
        self.data = data

    def handshakeCompleted(self):
        self.transport.write(self.data)

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        self.lost = True


class JoiningTests(SynchronousTestCase):
    def setUp(self):
        self.authority = CertificateAuthority.create(now())
        self.requests = []
        self.answer = succeed(GRANTED)
        self.pin = self.authority.pin

    def answered(self, request):
        self.requests.append(request)
        return self.answer

    def serve(self, client):
        server = JoinServer(self.answered)
        self.wire = TLSWire(PodTLS(only(self.authority), now), server, JoinTLS(), client)
        self.wire.run()

    def join(self):
        request = JoinRequest(secret=SECRET.hex(), certificate_request="CSR", version="1.2")
        client = JoinClient(self.pin, request, now)
        self.serve(client)
        return client.answered

    def refused(self, joining):
        return self.failureResultOf(joining, JoinRefused).value.problem

    def test_granted(self):
        answer, ca = self.successResultOf(self.join())
        self.assertEqual(answer, GRANTED)
        self.assertEqual(ca, self.authority.certificate_pem)
        (request,) = self.requests
        self.assertEqual(
            (request.secret, request.certificate_request, request.version),
            (SECRET.hex(), "CSR", "1.2"),
        )
        self.assertNotIn(SECRET.hex(), repr(request))

    def test_a_late_renewal_is_told_apart_from_joining(self):
        asked = RenewalRequest(certificate_request="CSR", certificate="OLD")
        client = JoinClient(self.pin, asked, now)
        self.serve(client)
        self.assertEqual(self.successResultOf(client.answered)[0], GRANTED)
        [request] = self.requests
        self.assertEqual(evolve(request, source=""), asked)

    def test_denied_for_every_reason(self):
        for problem in JoinProblem:
            self.answer = succeed(JoinDenied(problem=problem))
            self.assertEqual(self.refused(self.join()), problem)

    def test_a_pod_of_another_ca_never_sees_the_secret(self):
        self.pin = bytes(32)
        self.assertEqual(self.refused(self.join()), JoinProblem.OTHER_POD)
        self.assertEqual(self.requests, [])

    def test_a_failing_store_is_no_answer_of_its_own(self):
        self.answer = fail(RuntimeError("database is gone"))
        self.assertEqual(self.refused(self.join()), JoinProblem.UNAVAILABLE)
        (logged,) = self.flushLoggedErrors(RuntimeError)
        self.assertNotIn(SECRET.hex(), str(logged))

    def test_a_pod_that_nobody_waits_for_any_more_is_hung_up_on(self):
        self.answer = Deferred()
        joining = self.join()
        joining.cancel()
        self.failureResultOf(joining, CancelledError)
        self.wire.run()
        self.assertTrue(self.wire.client.transport.disconnected)

    def test_an_answer_that_comes_after_the_connector_went_is_dropped(self):
        self.answer = Deferred()
        joining = self.join()
        self.wire.client.transport.loseConnection()
        self.wire.run()
        self.failureResultOf(joining)
        self.answer.callback(GRANTED)

    def test_malformed_requests_are_denied(self):
        for text in (b"", b"[]", b"\xff", b'{"secret": "00"}', b'{"secret": 1}'):
            client = RawClient(len(text).to_bytes(4, "big") + text)
            self.serve(client)
            self.assertIn(b'"bad-request"', client.received)
            self.assertTrue(client.lost)
        self.assertEqual(self.requests, [])

    def test_a_request_that_is_too_long_ends_the_connection(self):
        client = RawClient((1 << 20).to_bytes(4, "big") + bytes(100))
        self.serve(client)
        self.assertTrue(client.lost)
        self.assertEqual(client.received, b"")

    def test_one_request_a_connection(self):
        self.answer = Deferred()
        request = JoinRequest(secret=SECRET.hex(), certificate_request="CSR")
        text = request.encode()
        client = RawClient(2 * (len(text).to_bytes(4, "big") + text))
        self.serve(client)
        self.assertEqual(len(self.requests), 1)
        self.assertTrue(client.lost)

    def test_fields_of_a_newer_peer_are_ignored(self):
        request = JoinRequest(secret=SECRET.hex(), certificate_request="CSR")
        text = request.encode()[:-1] + b', "tomorrow": 1}'
        client = RawClient(len(text).to_bytes(4, "big") + text)
        self.serve(client)
        self.assertIn(b'"granted"', client.received)

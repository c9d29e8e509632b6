"""An authority that checks a name gets its answer, of either kind, and nobody else notices."""

import contextlib
import hashlib

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.net.handshakes import shake_hands
from tests.pod.test_client_hello import hello
from tests.pod.test_one_port import Room, Wire
from tunnelcloud.pod.acme.challenges import ALPN, Answers
from tunnelcloud.pod.one_port import DECIDE_SECONDS, SILENCE_SECONDS, Front

AUTHORIZATION = "token.thumbprint"


class TlsTests(SynchronousTestCase):
    def shake_hands(self, server, name, protocol=ALPN):
        """Do what an authority does; give the certificate that it sees, or None."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_alpn_protos([protocol])
        client = SSL.Connection(context, None)
        client.set_tlsext_host_name(name)
        client.set_connect_state()
        server.set_accept_state()
        with contextlib.suppress(SSL.Error):
            shake_hands(client, server)
        if client.get_alpn_proto_negotiated() != ALPN:
            return None
        return client.get_peer_certificate().to_cryptography()

    def test_the_certificate_of_rfc_8737(self):
        answers = Answers()
        answers.replace({"pod.example.com": AUTHORIZATION})
        for name in (b"pod.example.com", b"POD.example.com"):
            seen = self.shake_hands(answers.serverConnectionForTLS(None), name)
            names = seen.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            self.assertEqual(names.value.get_values_for_type(x509.DNSName), ["pod.example.com"])
            proof = next(one for one in seen.extensions if one.oid.dotted_string.endswith(".1.31"))
            self.assertTrue(proof.critical)
            digest = hashlib.sha256(AUTHORIZATION.encode()).digest()
            self.assertEqual(proof.value.value, b"\x04\x20" + digest)

    def test_another_name_and_another_protocol_see_nothing(self):
        answers = Answers()
        answers.replace({"pod.example.com": AUTHORIZATION})
        connect = answers.serverConnectionForTLS
        self.assertIsNone(self.shake_hands(connect(None), b"other.example.com"))
        self.assertIsNone(self.shake_hands(connect(None), b"pod.example.com", b"http/1.1"))

    def test_answers_that_are_over(self):
        answers = Answers()
        answers.replace({"pod.example.com": AUTHORIZATION})
        self.assertTrue(answers)
        answers.replace({})
        self.assertFalse(answers)
        self.assertIsNone(
            self.shake_hands(answers.serverConnectionForTLS(None), b"pod.example.com")
        )


class FrontTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.ssh, self.connectors, self.web = Room(), Room(), Room()
        self.answers = Answers()
        self.front = self.make(self.ssh, self.connectors)

    def make(self, ssh, connectors):
        portal = "https://portal.example.com"
        return Front(ssh, connectors, self.web, portal, self.clock, answers=self.answers)

    def connect(self):
        address = IPv4Address("TCP", "198.51.100.7", 5000)
        return Wire(self.front.buildProtocol(address))

    def test_a_check_by_tls(self):
        wire = self.connect()
        wire.client_sends(hello(ALPN))
        self.assertTrue(wire.disconnecting)
        self.answers.replace({"portal.example.com": AUTHORIZATION})
        wire = self.connect()
        wire.client_sends(hello(ALPN))
        self.assertFalse(wire.disconnecting)
        self.assertTrue(wire.value().startswith(b"\x16\x03"))
        self.assertEqual(self.web.got, [])

    def test_browsers_are_served_meanwhile(self):
        self.answers.replace({"portal.example.com": AUTHORIZATION})
        self.connect().client_sends(hello(b"http/1.1"))
        self.assertEqual(len(self.web.got), 1)

    def test_a_check_by_http_in_pieces(self):
        self.answers.replace({"token_-1": AUTHORIZATION})
        wire = self.connect()
        for piece in (
            b"GET /.well-kn",
            b"own/acme-challenge/token_-1 HTTP/1.1\r",
            b"\nHost: x\r\n",
        ):
            self.assertEqual(wire.value(), b"")
            wire.client_sends(piece)
        self.assertTrue(wire.value().startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(wire.value().endswith(b"\r\n\r\n" + AUTHORIZATION.encode()))
        self.assertTrue(wire.disconnecting)

    def test_any_other_request_is_redirected(self):
        self.answers.replace({"token": AUTHORIZATION})
        for line in (
            b"GET /.well-known/acme-challenge/other HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\n",
            b"GET /" + b"x" * 3000,
        ):
            wire = self.connect()
            wire.client_sends(line)
            self.assertTrue(wire.value().startswith(b"HTTP/1.1 308 "), line[:40])
            self.assertTrue(wire.disconnecting)

    def test_a_request_that_never_ends(self):
        self.answers.replace({"token": AUTHORIZATION})
        wire = self.connect()
        wire.client_sends(b"GET /")
        self.clock.advance(10)
        self.assertTrue(wire.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_connections_that_wait_take_part_in_the_room(self):
        """Nobody holds more of them than may wait to be told apart, by either kind of challenge."""
        self.answers.replace({"token": AUTHORIZATION})
        for first in (b"GET /", hello(ALPN)):
            self.front.room = 3
            self.front.__attrs_post_init__()
            wires = []
            for _ in range(3):
                wires.append(self.connect())
                wires[-1].client_sends(first)
            self.assertEqual(len(self.front.crowd), 3)
            own = IPv4Address("TCP", "198.51.100.7", 5000)
            self.assertIsNone(self.front.buildProtocol(own))
            other = Wire(self.front.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1)), "192.0.2.1")
            self.assertEqual([one.disconnected for one in wires], [True, False, False])
            for wire in (*wires[1:], other):
                wire.protocol.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(len(self.front.crowd), 0)

    def test_a_listener_of_the_web_alone(self):
        self.front = self.make(None, None)
        self.connect().client_sends(hello(b"http/1.1"))
        self.assertEqual(len(self.web.got), 1)
        for said in (b"SSH-2.0-x\r\n", hello(b"tunnelcloud-link/1")):
            wire = self.connect()
            wire.client_sends(said)
            self.assertTrue(wire.disconnecting)
        wire = self.connect()
        self.clock.advance(SILENCE_SECONDS)
        self.assertFalse(wire.disconnecting)
        self.clock.advance(DECIDE_SECONDS - SILENCE_SECONDS)
        self.assertTrue(wire.disconnecting)

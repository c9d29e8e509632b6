from datetime import timedelta

from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Protocol
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.link.tls_wires import DAY, TLSWire, link_tls, now, only
from tests.pod.certificates import make_certificate, server_context
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused
from tunnelcloud.link import tls as contexts
from tunnelcloud.link.join_messages import JoinRequest
from tunnelcloud.link.joining import JoinClient
from tunnelcloud.link.tls import (
    JOIN_ALPN,
    LINK_ALPN,
    UNREADABLE_TEXT,
    JoinTLS,
    LinkTLS,
    PodTLS,
    distrust,
    not_taken,
    pinned_authority,
    shown_certificate,
)
from tunnelcloud.pki.authority import CertificateAuthority, check_pod_certificate, connector_id_of
from tunnelcloud.pki.authority_rotation import Authorities, is_issued_by
from tunnelcloud.pki.signing_requests import make_request, new_private_key


@implementer(IHandshakeListener)
class End(Protocol):
    """Remembers what happened; closes nothing by itself."""

    completed = False
    lost = None
    received = b""

    def handshakeCompleted(self):
        self.completed = True

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        self.lost = reason


def peer_certificate(transport):
    return transport.getHandle().get_peer_certificate(as_cryptography=True)


@implementer(IOpenSSLClientConnectionCreator)
class AnyClient:
    """A client that offers just what a test wants."""

    def __init__(self, configure=lambda context: None):
        self.context = SSL.Context(SSL.TLS_METHOD)
        configure(self.context)

    def clientConnectionForTLS(self, protocol):
        return SSL.Connection(self.context, None)


class LinkTLSTests(SynchronousTestCase):
    def setUp(self):
        self.authority = CertificateAuthority.create(now())
        self.pod = PodTLS(only(self.authority), now)

    def connect(self, client_tls, server_tls=None):
        self.server, self.client = End(), End()
        self.wire = TLSWire(server_tls or self.pod, self.server, client_tls, self.client)
        self.wire.run()

    def assert_refused(self):
        self.assertFalse(self.server.completed)
        self.assertIsNotNone(self.server.lost)

    def test_both_ends_know_each_other(self):
        self.connect(link_tls(self.authority, "con_7"))
        certificate = peer_certificate(self.server.transport)
        self.assertEqual(connector_id_of(certificate), "con_7")
        self.assertEqual(self.server.transport.negotiatedProtocol, LINK_ALPN)
        check_pod_certificate(
            peer_certificate(self.client.transport), self.authority.certificate, now()
        )
        self.client.transport.write(b"hello")
        self.wire.run()
        self.assertEqual(self.server.received, b"hello")

    def test_two_cas_while_one_takes_the_other_s_place(self):
        """Pods show the first until it goes; who has a certificate of either comes in."""
        new = CertificateAuthority.create(now())
        known = [Authorities(self.authority, new)]
        self.pod = PodTLS(lambda: known[-1], now)
        bundle = new.certificate_pem + self.authority.certificate_pem
        moved = link_tls(new, trusted=bundle)
        for tls in (link_tls(self.authority), link_tls(self.authority, trusted=bundle), moved):
            self.connect(tls)
            self.assertTrue(self.server.completed)
            shown = peer_certificate(self.client.transport)
            self.assertTrue(is_issued_by(shown, self.authority.certificate))
        known.append(Authorities(new))
        self.connect(moved)
        self.assertTrue(self.server.completed)
        shown = peer_certificate(self.client.transport)
        self.assertTrue(is_issued_by(shown, new.certificate))
        self.connect(link_tls(self.authority, trusted=bundle))
        self.assert_refused()

    def test_a_bulk_cipher_with_hardware_behind_it_comes_first(self):
        self.connect(link_tls(self.authority))
        connection = self.client.transport.getHandle()
        self.assertEqual(connection.get_cipher_name(), "TLS_AES_128_GCM_SHA256")

    def test_tls_1_2_is_enough(self):
        tls = link_tls(self.authority)
        tls._context.set_max_proto_version(SSL.TLS1_2_VERSION)
        self.connect(tls)
        self.assertTrue(self.server.completed)
        self.assertEqual(self.client.transport.getHandle().get_protocol_version_name(), "TLSv1.2")

    def test_tls_1_1_is_refused(self):
        def old(context):
            context.set_cipher_list(b"ALL:@SECLEVEL=0")
            context.set_min_proto_version(SSL.TLS1_1_VERSION)
            context.set_max_proto_version(SSL.TLS1_1_VERSION)

        self.connect(AnyClient(old))
        self.assert_refused()

    def test_a_certificate_of_another_ca_is_refused(self):
        other = CertificateAuthority.create(now())
        tls = link_tls(other)
        tls._context.get_cert_store()
        tls._context.set_verify(SSL.VERIFY_NONE)
        self.connect(tls)
        self.assert_refused()

    def test_a_certificate_that_is_not_of_the_pods_time(self):
        """Both ends name the times, for their clocks may be wrong."""
        logged = []
        globalLogPublisher.addObserver(logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, logged.append)
        for when in (now() - 2 * DAY, now() + 2 * DAY):
            self.pod = PodTLS(only(self.authority), now)
            tls = link_tls(self.authority, when=when)
            self.connect(tls)
            self.assert_refused()
            self.connect(tls)
            reason = self.client.lost.getErrorMessage()
            told = not_taken(tls.certificate, reason, now())
            self.assertIn("doesn't take this connector's certificate, which is good from", told)
            self.assertIn(f"this machine's clock says {now():%Y-%m-%d}", told)
            [warned] = [formatEvent(one) for one in logged if one.get("name") == "con_1"]
            self.assertIn("connector con_1 is refused: its certificate is good from", warned)
            logged.clear()
        self.assertEqual(not_taken(tls.certificate, "connection reset", now()), "")

    def test_a_pod_certificate_is_no_client(self):
        issued = self.authority.issue_pod_certificate(now())

        def as_pod(context):
            context.use_certificate(load_pem_x509_certificate(issued.pem))
            context.use_privatekey(load_pem_private_key(issued.private_key_pem, None))
            context.set_alpn_protos([LINK_ALPN])

        self.connect(AnyClient(as_pod))
        self.assert_refused()

    def test_a_connector_takes_no_other_ca(self):
        other = CertificateAuthority.create(now())
        self.connect(link_tls(self.authority), PodTLS(only(other), now))
        self.assertFalse(self.client.completed)
        self.assertIsNotNone(self.client.lost)

    def test_a_connector_takes_no_other_connector_for_a_pod(self):
        tls = link_tls(self.authority)

        class Impostor(PodTLS):
            def serverConnectionForTLS(self, protocol):
                tls._context.set_verify(SSL.VERIFY_NONE)
                return SSL.Connection(tls._context, None)

        self.connect(link_tls(self.authority), Impostor(only(self.authority), now))
        self.assertFalse(self.client.completed)

    def test_without_certificate_or_alpn_nobody_is_anybody(self):
        self.connect(AnyClient())
        self.assertTrue(self.server.completed)
        self.assertIsNone(peer_certificate(self.server.transport))
        self.assertIsNone(self.server.transport.negotiatedProtocol)

    def test_the_pod_renews_its_own_certificate_in_time(self):
        times = [now() - timedelta(days=300)]
        pod = PodTLS(only(self.authority), lambda: times[-1])

        def shown():
            self.connect(link_tls(self.authority), pod)
            return peer_certificate(self.client.transport).serial_number

        first = shown()
        times.append(times[0] + timedelta(days=200))
        self.assertEqual(shown(), first)
        times.append(times[0] + timedelta(days=250))
        self.assertNotEqual(shown(), first)

    def test_key_and_certificate_must_fit(self):
        issued = self.authority.sign_request(make_request(new_private_key()), "con_1", now(), DAY)
        with self.assertRaises(ValueError):
            LinkTLS(self.authority.certificate_pem, issued.pem, new_private_key())


class MemoryTests(SynchronousTestCase):
    def test_a_link_at_rest_holds_no_buffers_for_records(self):
        # To add nothing to the mode tells it.
        self.assertFalse(SSL.Context(SSL.TLS_METHOD).set_mode(0) & contexts.MODE_RELEASE_BUFFERS)
        self.assertTrue(contexts._context().set_mode(0) & contexts.MODE_RELEASE_BUFFERS)


class JoinTLSTests(SynchronousTestCase):
    def setUp(self):
        self.authority = CertificateAuthority.create(now())
        self.server, self.client = End(), End()

    def connect(self, server_tls):
        TLSWire(server_tls, self.server, JoinTLS(), self.client).run()

    def test_finds_the_ca_by_its_digest(self):
        self.connect(PodTLS(only(self.authority), now))
        found = pinned_authority(self.client.transport, self.authority.pin, now())
        self.assertEqual(found, self.authority.certificate)
        self.assertEqual(self.server.transport.negotiatedProtocol, JOIN_ALPN)

    def test_a_clock_that_is_wrong_is_named(self):
        self.connect(PodTLS(only(self.authority), now))
        for wrong in (now() - DAY, now() + 800 * DAY):
            with self.assertRaises(JoinRefused) as caught:
                pinned_authority(self.client.transport, self.authority.pin, wrong)
            self.assertIn(f"this machine's clock says {wrong:%Y-%m-%d}", str(caught.exception))

    def test_another_ca_is_another_pod(self):
        self.connect(PodTLS(only(self.authority), now))
        with self.assertRaises(JoinRefused) as caught:
            pinned_authority(self.client.transport, bytes(32), now())
        self.assertEqual(caught.exception.problem, JoinProblem.OTHER_POD)

    def test_showing_the_ca_without_its_signature_is_not_enough(self):
        other = CertificateAuthority.create(now())
        liar = CertificateAuthority(self.authority.certificate, other.key)
        self.connect(PodTLS(only(liar), now))
        with self.assertRaises(JoinRefused) as caught:
            pinned_authority(self.client.transport, self.authority.pin, now())
        self.assertEqual(caught.exception.problem, JoinProblem.OTHER_POD)


@implementer(IOpenSSLServerConnectionCreator)
class Inspector:
    """A proxy that opens TLS to look inside: its certificate is its own."""

    def serverConnectionForTLS(self, protocol):
        certificate = make_certificate("Corp\nInspection CA")
        return SSL.Connection(server_context(*certificate), None)


@implementer(IOpenSSLServerConnectionCreator)
class Odd:
    """A server whose certificate says that it is of a version that there isn't."""

    def serverConnectionForTLS(self, protocol):
        certificate, key = make_certificate("pod")
        third, eighth = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"
        shown = certificate.public_bytes(Encoding.DER).replace(third, eighth, 1)
        odd = crypto.load_certificate(crypto.FILETYPE_ASN1, shown)
        context = server_context(certificate, key, lambda made: made.use_certificate(odd))
        return SSL.Connection(context, None)


class Lost(Protocol):
    why = None

    def connectionLost(self, reason):
        self.why = distrust(self.transport)


class InspectionTests(SynchronousTestCase):
    """A certificate between pod and connector that neither issued: somebody looks inside."""

    def assert_told(self, text):
        self.assertIn("issued by Corp?Inspection CA and not by this cluster", text)
        self.assertIn("ask for an exemption", text)

    def test_a_link_tells_the_issuer(self):
        client = Lost()
        tls = link_tls(CertificateAuthority.create(now()))
        TLSWire(Inspector(), Protocol(), tls, client).run()
        self.assert_told(client.why)

    def test_of_a_pod_that_is_trusted_nothing_is_told(self):
        """What Twisted keeps at the same place, the transport, is no reason."""
        client = Lost()
        authority = CertificateAuthority.create(now())
        wire = TLSWire(PodTLS(only(authority), now), Protocol(), link_tls(authority), client)
        wire.run()
        client.transport.loseConnection()
        wire.run()
        self.assertEqual(client.why, "")

    def test_another_cluster_is_told_apart(self):
        client = Lost()
        one, other = (CertificateAuthority.create(now()) for _ in range(2))
        TLSWire(PodTLS(only(one), now), Protocol(), link_tls(other), client).run()
        self.assertIn("another cluster's", client.why)

    def test_a_wrong_clock_is_told_with_the_pods_days(self):
        client = Lost()
        authority = CertificateAuthority.create(now() - 1000 * DAY)
        pod = PodTLS(only(authority), lambda: now() - 1000 * DAY)
        TLSWire(pod, Protocol(), link_tls(authority), client).run()
        self.assertIn(f"this machine's clock says {now():%Y-%m-%d}", client.why)

    def test_a_certificate_that_cant_be_read_is_told_in_a_line(self):
        client = Lost()
        tls = link_tls(CertificateAuthority.create(now()))
        TLSWire(Odd(), Protocol(), tls, client).run()
        self.assertEqual(client.why, UNREADABLE_TEXT)
        client = JoinClient(bytes(32), JoinRequest("00" * 20, "CSR"), now)
        TLSWire(Odd(), Protocol(), JoinTLS(), client).run()
        failure = self.failureResultOf(client.answered, JoinRefused)
        self.assertIn(UNREADABLE_TEXT, str(failure.value))

    def test_a_certificate_that_cant_be_read_is_none(self):
        end = End()
        TLSWire(Odd(), Protocol(), AnyClient(), end).run()
        self.assertTrue(end.completed)
        self.assertIsNone(shown_certificate(end.transport.getHandle()))

    def test_joining_tells_the_issuer_and_keeps_the_secret(self):
        client = JoinClient(bytes(32), JoinRequest("00" * 20, "CSR"), now)
        TLSWire(Inspector(), Protocol(), JoinTLS(), client).run()
        failure = self.failureResultOf(client.answered, JoinRefused)
        self.assert_told(failure.getErrorMessage())

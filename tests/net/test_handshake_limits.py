"""New keys as often as a client likes: each door with TLS takes so many, and hangs up."""

import contextlib
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import trustRootFromCertificates
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from zope.interface import implementer

import tunnelcloud
from tests.link.tls_wires import now, only
from tests.net.key_updates import Client
from tests.pod.certificates import make_certificate, server_context
from tunnelcloud.link.tls import JOIN_ALPN, PodTLS
from tunnelcloud.net import handshake_limits
from tunnelcloud.net.handshake_limits import MOST_STEPS
from tunnelcloud.net.outgoing_tls import HttpsPolicy
from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.pod.acme.challenges import ALPN, Answers
from tunnelcloud.web.http_limits import LimitedSite

FLOOD = MOST_STEPS
"""As many changes of keys as a connection may have steps: each has more than one."""


@implementer(IOpenSSLServerConnectionCreator)
class Servers:
    """Makes connections of one context."""

    def __init__(self, context):
        self._context = context

    def serverConnectionForTLS(self, protocol):
        return SSL.Connection(self._context, None)


class Transport(StringTransport):
    def setTcpNoDelay(self, enabled):
        pass


class KeyUpdateTests(SynchronousTestCase):
    def connect(self, servers, protocols=(b"http/1.1",)):
        """Shake hands; give the client and the server's end."""
        server = servers.serverConnectionForTLS(None)
        server.set_accept_state()
        client = Client(protocols)
        client.shake_hands(server)
        return client, server

    def assert_bounded(self, servers, protocols=(b"http/1.1",)):
        client, server = self.connect(servers, protocols)
        server.bio_write(client.updates(FLOOD))
        self.assertRaises(SSL.ZeroReturnError, server.recv, 1)

    def test_the_connectors_door(self):
        pod = PodTLS(only(CertificateAuthority.create(now())), now)
        self.assert_bounded(pod, [JOIN_ALPN])

    def test_an_authoritys_look(self):
        answers = Answers()
        answers.replace({"pod.example.com": "key authorization"})
        self.assert_bounded(answers, [ALPN])

    def test_some_are_taken(self):
        """A client may change its keys now and then, and go on with the new ones."""
        pod = PodTLS(only(CertificateAuthority.create(now())), now)
        client, server = self.connect(pod, [JOIN_ALPN])
        server.bio_write(client.updates(20))
        self.assertRaises(SSL.WantReadError, server.recv, 1)
        self.assertEqual(server.get_shutdown(), 0)

    def test_the_web(self):
        """Whoever made its context: Twisted does for an ``ssl:`` description."""
        site = LimitedSite(Resource(), Clock())
        servers = Servers(server_context(*make_certificate()))
        factory = TLSMemoryBIOFactory(servers, False, site, Clock())
        server, transport, client = factory.buildProtocol(None), Transport(), Client()
        server.makeConnection(transport)
        for _ in range(4):
            with contextlib.suppress(SSL.WantReadError):
                client.connection.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                server.dataReceived(client.connection.bio_read(65536))
            if transport.value():
                client.connection.bio_write(transport.value())
                transport.clear()
        server.dataReceived(client.updates(FLOOD))
        self.assertTrue(transport.disconnecting)


class OutTests(SynchronousTestCase):
    """Connections to servers elsewhere."""

    def connection(self):
        policy = HttpsPolicy(trustRootFromCertificates([]))
        creator = policy.creatorForNetloc(b"example.com", 443)
        asking = Factory.forProtocol(Protocol)
        protocol = TLSMemoryBIOFactory(creator, True, asking, Clock()).buildProtocol(None)
        protocol.makeConnection(Transport())
        return protocol.getHandle()

    def test_steps_are_counted(self):
        self.patch(handshake_limits, "MOST_STEPS", 1)
        self.assertEqual(self.connection().get_shutdown(), SSL.RECEIVED_SHUTDOWN)

    def test_no_server_chooses_a_prime(self):
        ciphers = self.connection().get_cipher_list()
        self.assertIn("ECDHE-RSA-AES128-GCM-SHA256", ciphers)
        self.assertEqual([one for one in ciphers if one.startswith("DHE-")], [])


class EveryConnectionTests(SynchronousTestCase):
    def test_every_connection_is_bounded(self):
        """Each where it is made, but for those of the web, which its channel bounds.

        Of a look at a target's certificate each byte is counted.
        """
        elsewhere = {"web_certificate.py", "certificate_probe.py"}
        for path in Path(tunnelcloud.__file__).parent.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            bound = text.count("bounded(SSL.Connection(")
            if path.name not in elsewhere:
                self.assertEqual(text.count("SSL.Connection("), bound, path)

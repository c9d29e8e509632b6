"""What TLS offers to clients of an `ssl:` endpoint, though the factory comes later."""

import contextlib

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.static import Data

from tests.pod.certificates import options
from tunnelcloud.net.port_binding import Binder
from tunnelcloud.pod.bound_ports import Listeners
from tunnelcloud.web.http_limits import LimitedSite

REQUEST = b"GET /page HTTP/1.1\r\nHost: pod.example.com\r\nConnection: close\r\n\r\n"


class _Wire(StringTransport):
    """Stands for a TCP transport."""

    def setTcpNoDelay(self, enabled):
        pass


class _Port:
    """Stands for a listening port."""

    def stopListening(self):
        return None


class LocalAddressTests(SynchronousTestCase):
    def test_where_this_machine_reaches_a_listener(self):
        for interface, host in (
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.2", "127.0.0.2"),
            (r"\:\:1", "[::1]"),
            (r"\:\:", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),
        ):
            listeners = Listeners.bind(reactor, {"web": [f"tcp:0:interface={interface}"]})
            self.addCleanup(listeners.close)
            port = listeners.port("web")
            self.assertEqual(listeners.local_address("web"), f"{host}:{port}")


class NegotiationTests(SynchronousTestCase):
    def setUp(self):
        def keep(binder, port, factory, **_):
            self.port_factory = factory
            return _Port()

        self.patch(Binder, "listenTCP", keep)
        self.listeners = Listeners.bind(Clock(), {"web": ["tcp:1"]})
        self.factory = TLSMemoryBIOFactory(options(), False, self.port_factory, Clock())

    def serve_web(self):
        root = Resource()
        root.putChild(b"page", Data(b"a page", "text/plain"))
        self.listeners.serve("web", LimitedSite(root, Clock()))

    def ask(self, offered):
        """Ask for a page by TLS; give the protocol that was agreed on, and the answer."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if offered:
            context.set_alpn_protos(offered)
        client = SSL.Connection(context, None)
        client.set_connect_state()
        transport = _Wire()
        server = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        server.makeConnection(transport)
        answer, asked = b"", False
        for _ in range(20):
            try:
                if not asked:
                    client.do_handshake()
                    client.send(REQUEST)
                    asked = True
                answer += client.recv(1 << 16)
            except SSL.WantReadError:
                pass
            except SSL.ZeroReturnError:
                break
            with contextlib.suppress(SSL.WantReadError):
                server.dataReceived(client.bio_read(1 << 16))
            if transport.value():
                client.bio_write(transport.value())
                transport.clear()
        return client.get_alpn_proto_negotiated(), answer

    def test_clients_that_offer_protocols_and_clients_that_do_not(self):
        self.serve_web()
        for offered, agreed in [
            ([b"h2", b"http/1.1"], b"http/1.1"),
            ([b"http/1.1"], b"http/1.1"),
            ([], b""),
        ]:
            found, answer = self.ask(offered)
            self.assertEqual(found, agreed)
            self.assertIn(b"200 OK", answer)
            self.assertIn(b"a page", answer)

    def test_browsers_are_told_to_stay_with_tls(self):
        self.serve_web()
        _, answer = self.ask([b"http/1.1"])
        self.assertIn(b"Strict-Transport-Security: max-age=31536000\r\n", answer)

    def test_nothing_is_offered_for_a_factory_that_offers_nothing(self):
        self.listeners.serve("web", Factory.forProtocol(Protocol))
        self.assertEqual(self.port_factory.acceptableProtocols(), [])

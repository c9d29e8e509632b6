"""Links over real TLS in memory: who may, and what passes."""

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.channels.wires import End as StreamEnd
from tests.link.links import LinkPair, TwistedTransportFactory, join
from tunnelcloud.channels.messages import ProtocolError
from tunnelcloud.link import protocol, requests
from tunnelcloud.link.protocol import End
from tunnelcloud.link.requests import Hello, read_hello, unpack
from tunnelcloud.link.tls import LINK_ALPN, JoinTLS
from tunnelcloud.link.transport import LinkTransportFactory
from tunnelcloud.net.spreading import STEPS_A_TURN
from tunnelcloud.pki.authority import connector_id_of

KIB = 1024


@implementer(IOpenSSLClientConnectionCreator)
class NoCertificate:
    """Speaks links, and shows no certificate."""

    def clientConnectionForTLS(self, tls_protocol):
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_alpn_protos([LINK_ALPN])
        return SSL.Connection(context, None)


class AttachingTests(SynchronousTestCase):
    def test_both_sides_know_each_other(self):
        pair = LinkPair().start()
        self.assertEqual(pair.pod.peer.name, "paris-1")
        self.assertEqual(pair.pod.peer.capabilities, {"health"})
        self.assertEqual(pair.connector.peer.name, "pod-1")
        self.assertEqual(connector_id_of(pair.pod.peer_certificate), "con_1")
        self.assertEqual(pair.pod_owner.ready, [pair.pod])
        self.assertEqual(pair.connector_owner.ready, [pair.connector])

    def test_owner_may_refuse(self):
        pair = LinkPair()
        pair.pod_owner.refusal = "this connector was deleted"
        pair.run()
        self.assertFalse(pair.pod.ready or pair.connector.ready)
        self.assertTrue(pair.server_wire.disconnected)
        self.assertEqual(pair.pod_owner.ready, [])
        self.assertEqual(pair.pod_owner.lost, ["this connector was deleted"])

    def test_other_alpn_is_dropped(self):
        pair = LinkPair(client_tls=JoinTLS())
        pair.run()
        self.assertFalse(pair.pod.ready)
        self.assertTrue(pair.server_wire.disconnected)
        self.assertEqual(pair.pod_owner.certificates, [])

    def test_owner_hears_of_a_missing_certificate(self):
        pair = LinkPair(client_tls=NoCertificate())
        pair.pod_owner.refusal = "no certificate"
        pair.run()
        self.assertEqual(pair.pod_owner.certificates, [None])
        self.assertIsNone(pair.pod.peer)

    def test_peer_that_says_nothing_is_dropped_in_time(self):
        for silent_wire in (True, False):
            pair = LinkPair()
            if not silent_wire:
                pair.connector.send_message = lambda head, data=b"": None
                pair.run()
                self.assertIsNotNone(pair.pod.peer_certificate)
            pair.clock.advance(protocol.HANDSHAKE_TIMEOUT - 0.1)
            self.assertFalse(pair.server_wire.disconnecting)
            pair.clock.advance(0.2)
            pair.run()
            self.assertTrue(pair.server_wire.disconnected)

    def test_nothing_goes_before_hello(self):
        for early in ("channel", "request"):
            pair = LinkPair()
            hello = pair.pod.request

            def send(name, document, hello=hello, pair=pair, early=early):
                if early == "channel":
                    pair.pod.open_channel(b"x", b"", StreamEnd(), pair.budgets[0].account())
                else:
                    hello(b"ping@tunnelcloud", {})

            pair.pod.request = send
            pair.run()
            self.assertIsNone(pair.connector.peer)
            self.assertEqual(pair.connector_owner.asked, [])
            self.assertTrue(pair.client_wire.disconnected)

    def test_second_hello_is_one_too_many(self):
        pair = LinkPair().start()
        pair.connector.request(requests.HELLO, Hello("again", "1").document())
        pair.run()
        self.assertEqual(pair.pod_owner.lost, ["protocol error: a second hello"])


class HelloTests(SynchronousTestCase):
    def test_round_trip(self):
        hello = Hello("a", "1", frozenset({"x", "y"}))
        self.assertEqual(read_hello(hello.document()), hello)

    def test_newer_peer_is_welcome(self):
        document = dict(Hello("a", "9").document(), version=7, more="?")
        self.assertEqual(read_hello(document).version, 7)

    def test_bad_hellos(self):
        good = Hello("a", "1").document()
        for change in (
            {"version": 0},
            {"version": "1"},
            {"name": None},
            {"software": 1},
            {"capabilities": "x"},
            {"capabilities": [1]},
        ):
            self.assertRaises(ProtocolError, read_hello, {**good, **change})
        for data in (b"", b"[]", b"{", b"\xff", b"[" * 60000, b"{}" + b" " * 70000):
            self.assertRaises(ProtocolError, unpack, data)


class RequestTests(SynchronousTestCase):
    def test_handlers_answer_and_the_unknown_fails(self):
        seen = []

        def renew(link, document):
            seen.append((link, document))
            return {"accepted": True}

        pair = LinkPair(handlers={requests.RENEW: renew}).start()
        replies = []
        send = pair.connector.multiplexer.send_global_request
        send(requests.RENEW, b'{"csr":"..."}', replies.append)
        send(b"future@tunnelcloud", b"?", replies.append)
        pair.run()
        self.assertEqual(replies, [b'{"accepted":true}', None])
        self.assertEqual(seen, [(pair.pod, {"csr": "..."})])

    def test_document_that_is_none_ends_the_link(self):
        pair = LinkPair(handlers={requests.PODS: lambda link, document: {}}).start()
        pair.connector.multiplexer.send_global_request(requests.PODS, b"no json")
        pair.run()
        self.assertEqual(len(pair.pod_owner.lost), 1)

    def test_handler_that_fails_ends_its_link_only(self):
        def broken(link, document):
            raise RuntimeError("a fault of ours")

        pair = LinkPair(handlers={requests.RENEW: broken}).start()
        other = LinkPair().start()
        pair.connector.request(requests.RENEW, {})
        pair.run()
        self.assertEqual(pair.pod_owner.lost, ["internal error"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertTrue(other.pod.ready)


class ChannelTests(SynchronousTestCase):
    def test_bulk_passes_both_ways_whatever_the_peers_tls(self):
        for server, client in (
            (LinkTransportFactory, LinkTransportFactory),
            (LinkTransportFactory, TwistedTransportFactory),
            (TwistedTransportFactory, LinkTransportFactory),
        ):
            pair = LinkPair(server_factory=server, client_factory=client).start()
            near, far = join(pair)
            near.eager = far.eager = True
            for size in (1, 100_000, 700_000, 0, 16 * KIB, 3):
                near.write(size)
                far.write(size * 2)
                pair.run()
            near.send_eof()
            far.send_eof()
            pair.run()
            self.assertEqual((far.received, near.received), (near.written, far.written))
            far.channel.close()
            pair.run()
            self.assertEqual((near.end, far.end), ((True, ""), (True, "")))

    def test_connector_may_not_open(self):
        pair = LinkPair(connector_end=End.POD).start()
        near = StreamEnd()
        near.channel = pair.connector.open_channel(
            b"direct-tcpip", b"", near, pair.budgets[1].account()
        )
        pair.run()
        self.assertEqual(pair.pod_owner.lost, ["protocol error: a connector opened a channel"])
        self.assertIsNotNone(near.failure)

    def test_loss_ends_channels_with_a_reason(self):
        pair = LinkPair().start()
        near, far = join(pair)
        pair.pod.disconnect("the connector was deleted")
        self.assertEqual(near.end, (False, "the connector was deleted"))
        pair.run()
        self.assertIsNotNone(far.end)
        self.assertEqual(pair.pod_owner.lost, ["the connector was deleted"])
        self.assertEqual([budget.used for budget in pair.budgets], [0, 0])

    def test_the_ends_of_many_channels_are_spread(self):
        """A link that is lost ends few channels in one turn of the reactor, and each of them."""
        pair = LinkPair().start()
        ends = [join(pair)[0] for _ in range(4 * STEPS_A_TURN)]
        pair.pod.disconnect("the connector was deleted")
        self.assertLessEqual(sum(end.end is not None for end in ends), STEPS_A_TURN)
        self.assertFalse(pair.pod.ready)
        late = StreamEnd()
        late.channel = pair.pod.open_channel(b"direct-tcpip", b"", late, pair.budgets[0].account())
        self.assertIsNotNone(late.failure)
        pair.run()
        self.assertEqual({end.end for end in ends}, {(False, "the connector was deleted")})
        self.assertEqual([budget.used for budget in pair.budgets], [0, 0])

"""The door that connectors come to, before they are known."""

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.test import iosim
from zope.interface import implementer

from tests.link.test_tls import AnyClient
from tests.pod.connectors import AUTHORITY, Door, DoorCase
from tunnelcloud.domain.join_tokens import JoinProblem
from tunnelcloud.link.join_messages import JoinRequest
from tunnelcloud.link.joining import JoinClient
from tunnelcloud.link.protocol import HANDSHAKE_TIMEOUT
from tunnelcloud.link.tls import JoinTLS
from tunnelcloud.pki.signing_requests import make_request, new_private_key
from tunnelcloud.pod.connector_listener import DOOR_TIMEOUT, MAX_IN_DOOR, door_limits
from tunnelcloud.pod.link_owner import LINKS_AT_ONCE

REVOKED = "the connector was deleted, or its certificate revoked or expired"


@implementer(IHandshakeListener)
class Silent(Protocol):
    lost = False

    def handshakeCompleted(self):
        self.completed = True

    def connectionLost(self, reason):
        self.lost = True


class DoorTests(DoorCase):
    def test_who_offers_no_protocol_of_ours_is_dropped(self):
        visitor = Silent()
        self.door.connect(AnyClient(), visitor)
        self.assertTrue(visitor.completed)
        self.assertTrue(visitor.lost)

    def test_a_link_without_a_certificate_is_dropped(self):
        visitor = Silent()
        client = AnyClient(lambda context: context.set_alpn_protos([b"tunnelcloud-link/1"]))
        self.door.connect(client, visitor)
        self.assertTrue(visitor.lost)
        self.assertEqual(self.door.hearer.heard, [])

    def test_who_dawdles_is_dropped(self):
        _, tls = self.door.enrol()
        for creator, limit in ((JoinTLS(), DOOR_TIMEOUT), (tls, HANDSHAKE_TIMEOUT)):
            visitor = Silent()
            self.door.connect(creator, visitor)
            self.door.clock.advance(limit - 0.1)
            self.door.run()
            self.assertFalse(visitor.lost)
            self.door.clock.advance(0.1)
            self.door.run()
            self.assertTrue(visitor.lost)

    def test_only_so_many_stand_in_the_door(self):
        visitors = [Silent() for _ in range(MAX_IN_DOOR)]
        creator = JoinTLS()
        for visitor in visitors:
            self.door.connect(creator, visitor)
        self.assertIsNone(self.door.connect(creator, Silent()))
        self.door.clock.advance(DOOR_TIMEOUT)
        self.door.run()
        self.assertIsNotNone(self.door.connect(creator, Silent()))

    def test_a_crowd_keeps_no_other_out(self):
        crowd = [Silent() for _ in range(MAX_IN_DOOR)]
        for visitor in crowd:
            self.door.connect(JoinTLS(), visitor)
        other = Silent()
        self.assertIsNotNone(self.door.connect(JoinTLS(), other, host="192.0.2.2"))
        self.assertIsNone(self.door.connect(JoinTLS(), Silent()))
        self.assertEqual([visitor.lost for visitor in crowd[:2]], [True, False])
        self.assertFalse(other.lost)


class DoorFloodTests(DoorCase):
    """Flood control is the SSH front door's: by source, with penalties that time takes off."""

    def setUp(self):
        self.door = Door(door_limits(40))
        self.links = self.door.links

    def is_let_in(self, host="192.0.2.1"):
        return self.door.connect(JoinTLS(), Silent(), host=host) is not None

    def join(self, secret, host="192.0.2.1"):
        csr = make_request(new_private_key())
        request = JoinRequest(secret=secret.hex(), certificate_request=csr.decode(), version="1")
        client = JoinClient(AUTHORITY.pin, request, lambda: self.door.time)
        self.door.connect(JoinTLS(), client, host=host)
        return client.answered

    def test_one_source_holds_a_quarter(self):
        self.assertEqual([self.is_let_in() for _ in range(11)], [True] * 10 + [False])
        self.assertTrue(self.is_let_in("192.0.3.1"))
        self.door.clock.advance(DOOR_TIMEOUT)
        self.door.run()
        self.assertTrue(self.is_let_in())

    def test_links_do_not_count(self):
        """A site has as many as it likes behind one address."""
        for number in range(1, 16):
            self.attach(number)
        self.assertEqual(self.door.flood.counters()["starting"], 0)
        self.assertEqual(self.door.flood.counters()["authenticated"], 15)

    def test_a_connector_that_comes_and_goes_without_end(self):
        """It doesn't cost handshakes without end: its source is shut out, and nobody else."""
        _, tls = self.door.enrol()
        for _ in range(2 * LINKS_AT_ONCE + 4):
            self.door.link(tls)[0].disconnect("over")
            self.door.run()
        self.assertFalse(self.is_let_in())
        self.assertTrue(self.is_let_in("192.0.3.1"))

    def test_guessed_join_tokens(self):
        """They shut their source out for a time, and nobody else."""
        for number in range(4):
            joining = self.join(bytes([number] * 20))
            self.assertEqual(self.failureResultOf(joining).value.problem, JoinProblem.UNKNOWN)
        self.assertFalse(self.is_let_in())
        self.assertTrue(self.is_let_in("192.0.3.1"))
        self.door.clock.advance(6)
        self.assertTrue(self.is_let_in())

    def test_no_certificate_and_no_tls(self):
        """Who shows no connector's certificate is punished, too; who says nothing isn't."""
        client = AnyClient(lambda context: context.set_alpn_protos([b"tunnelcloud-link/1"]))
        for _ in range(4):
            self.door.connect(client, Silent())
        self.assertFalse(self.is_let_in())
        self.assertEqual(self.door.flood.counters()["starting"], 0)
        for garbage, offences in ((b"", 0), (b"GET / HTTP/1.1\r\n\r\n", 1)):
            before = self.door.flood.counters()["offences"]
            server = self.door.factory.buildProtocol(IPv4Address("TCP", "192.0.3.1", 1))
            server.makeConnection(iosim.FakeTransport(server, True))
            if garbage:
                server.dataReceived(garbage)
            server.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(self.door.flood.counters()["offences"] - before, offences)
        self.assertEqual(self.door.flood.counters()["starting"], 0)

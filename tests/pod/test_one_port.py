"""The one port: who gets a connection, with which bytes and which address, and when."""

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.pod.test_client_hello import hello
from tests.ssh.test_proxy import header
from tests.web.test_pipelining import TurningClock
from tunnelcloud.net.spreading import STEPS_A_TURN
from tunnelcloud.pod.one_port import DECIDE_SECONDS, MAX_UNDECIDED, SILENCE_SECONDS, Front


class Behind(Protocol):
    """What stands behind the front: it remembers what it got."""

    def __init__(self, factory, address):
        self.address = address
        self.received = b""
        factory.got.append(self)

    def dataReceived(self, data):
        self.received += data


class Room(Factory):
    noisy = False

    def __init__(self):
        self.got = []
        self.full = False

    def buildProtocol(self, addr):
        return None if self.full else Behind(self, addr)


class Wire(StringTransport):
    """A TCP transport whose protocol can be exchanged."""

    def __init__(self, protocol, host="198.51.100.7"):
        super().__init__(peerAddress=IPv4Address("TCP", host, 5000))
        self.protocol = protocol
        protocol.makeConnection(self)

    def client_sends(self, data):
        self.protocol.dataReceived(data)


class FrontTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.ssh, self.connectors, self.web = Room(), Room(), Room()
        self.front = Front(
            self.ssh,
            self.connectors,
            self.web,
            "https://portal.example.com",
            self.clock,
            ["192.0.2.0/24"],
        )

    def connect(self, host="198.51.100.7"):
        return Wire(self.front.buildProtocol(IPv4Address("TCP", host, 5000)), host)

    def test_ssh_at_its_first_byte(self):
        wire = self.connect()
        wire.client_sends(b"S")
        wire.client_sends(b"SH-2.0-x\r\n")
        self.assertEqual(self.ssh.got[0].received, b"SSH-2.0-x\r\n")
        self.assertEqual(len(self.front.crowd), 0)

    def test_a_client_that_waits_is_an_ssh_client(self):
        self.connect()
        self.clock.advance(SILENCE_SECONDS - 0.01)
        self.assertEqual(self.ssh.got, [])
        self.clock.advance(0.01)
        self.assertEqual(self.ssh.got[0].received, b"")

    def test_connectors_by_alpn_in_pieces(self):
        for protocol in (b"tunnelcloud-link/1", b"tunnelcloud-join/1"):
            wire = self.connect()
            whole = hello(protocol)
            for at in range(len(whole)):
                wire.client_sends(whole[at : at + 1])
            self.assertEqual(self.connectors.got.pop().received, whole)
        self.assertEqual(self.web.got, [])

    def test_the_web_by_any_other_tls(self):
        for protocols in ((), (b"h2", b"http/1.1")):
            whole = hello(*protocols)
            self.connect().client_sends(whole)
            self.assertEqual(self.web.got.pop().received, whole)

    def test_tls_without_a_certificate_for_the_web(self):
        self.front.web = None
        wire = self.connect()
        wire.client_sends(hello(b"http/1.1"))
        self.assertTrue(wire.disconnecting)
        self.connect().client_sends(hello(b"tunnelcloud-link/1"))
        self.assertEqual(len(self.connectors.got), 1)

    def test_plain_http_is_told_where_the_portal_is(self):
        wire = self.connect()
        wire.client_sends(b"GE")
        wire.client_sends(b"T / HTTP/1.1\r\n\r\n")
        self.assertIn(b"308", wire.value())
        self.assertIn(b"Location: https://portal.example.com/\r\n", wire.value())
        self.assertTrue(wire.disconnecting)

    def test_a_slow_hello_ends_at_a_deadline(self):
        wire = self.connect()
        whole = hello(b"http/1.1")
        for at in range(int(DECIDE_SECONDS) - 1):
            wire.client_sends(whole[at : at + 1])
            self.clock.advance(1)
            self.assertFalse(wire.disconnecting)
        self.clock.advance(1)
        self.assertTrue(wire.disconnecting)
        self.assertEqual(len(self.front.crowd), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_lost_connection_leaves_nothing(self):
        wire = self.connect()
        wire.protocol.connectionLost()
        self.assertEqual(len(self.front.crowd), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_balancers_word_for_the_address(self):
        wire = self.connect("192.0.2.1")
        wire.client_sends(header("203.0.113.9", 4711) + b"SSH-2.0-x\r\n")
        [got] = self.ssh.got
        self.assertEqual((got.address.host, got.address.port), ("203.0.113.9", 4711))
        self.assertEqual(got.transport.getPeer().host, "203.0.113.9")
        self.assertEqual(got.received, b"SSH-2.0-x\r\n")

    def test_a_balancers_header_alone_then_silence(self):
        self.connect("192.0.2.1").client_sends(header("203.0.113.9", 4711))
        self.clock.advance(SILENCE_SECONDS)
        self.assertEqual(self.ssh.got[0].address.host, "203.0.113.9")

    def test_half_a_header_then_silence(self):
        wire = self.connect("192.0.2.1")
        wire.client_sends(header("203.0.113.9", 4711)[:20])
        self.clock.advance(SILENCE_SECONDS)
        self.clock.advance(DECIDE_SECONDS)
        self.assertTrue(wire.disconnecting)
        self.assertEqual(self.ssh.got, [])

    def test_a_strangers_header_is_no_header(self):
        wire = self.connect()
        wire.client_sends(header("203.0.113.9", 4711) + b"SSH-2.0-x\r\n")
        self.assertEqual(self.ssh.got[0].address.host, "198.51.100.7")

    def test_a_bad_header(self):
        wire = self.connect("192.0.2.1")
        wire.client_sends(b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c")
        self.assertTrue(wire.disconnecting)

    def test_no_room_behind(self):
        self.ssh.full = True
        wire = self.connect()
        wire.client_sends(b"SSH-2.0-x\r\n")
        self.assertTrue(wire.disconnecting)

    def test_one_source_takes_no_others_place(self):
        wires = [self.connect() for _ in range(MAX_UNDECIDED)]
        self.assertIsNone(self.front.buildProtocol(IPv4Address("TCP", "198.51.100.7", 1)))
        self.connect("203.0.113.1").client_sends(b"SSH-2.0-x\r\n")
        self.assertEqual(self.ssh.got[0].address.host, "203.0.113.1")
        self.assertTrue(wires[0].disconnecting)

    def test_one_client_of_a_balancer_takes_no_others_place(self):
        """All counted as their balancer's: 512 that were half a word kept everybody out."""
        for _ in range(MAX_UNDECIDED):
            self.connect("192.0.2.5").client_sends(header("198.51.100.66", 1) + b"GE")
        other = self.connect("192.0.2.5")
        other.client_sends(header("198.51.100.7", 1) + b"SSH-2.0-x\r\n")
        self.assertEqual(self.ssh.got[0].address.host, "198.51.100.7")
        self.assertEqual(len(self.front.crowd), MAX_UNDECIDED - 1)

    def test_many_that_are_decided_at_one_time(self):
        """400 whose hellos were complete in one moment took up to 177 ms of one turn."""
        clock = self.front.spreading._clock = TurningClock()
        wires = [self.connect() for _ in range(5 * STEPS_A_TURN)]
        for wire in wires:
            wire.client_sends(b"SSH-2.0-x\r\n")
        self.assertEqual(len(self.ssh.got), STEPS_A_TURN)
        wires[-1].client_sends(b"more")
        wires[-2].protocol.connectionLost()
        clock.turn()
        self.assertEqual(len(self.ssh.got), 2 * STEPS_A_TURN)
        for _ in range(5):
            clock.turn()
        self.assertEqual(len(self.ssh.got), 5 * STEPS_A_TURN - 1)
        self.assertEqual(self.ssh.got[-1].received, b"SSH-2.0-x\r\nmore")
        self.assertEqual(len(self.front.crowd), 0)

    def test_many_that_are_silent(self):
        clock = self.front.spreading._clock = TurningClock()
        for _ in range(5 * STEPS_A_TURN):
            self.connect()
        self.clock.advance(SILENCE_SECONDS)
        self.assertEqual(len(self.ssh.got), STEPS_A_TURN)
        clock.turn()
        self.assertEqual(len(self.ssh.got), 2 * STEPS_A_TURN)

    def test_one_that_fails_is_ended(self):
        def fail(transport):
            raise ValueError("a fault of this program")

        self.patch(Behind, "makeConnection", lambda _, transport: fail(transport))
        wire = self.connect()
        wire.client_sends(b"SSH-2.0-x\r\n")
        self.assertTrue(wire.disconnecting)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

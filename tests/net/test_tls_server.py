"""However many handshakes of TLS begin at once, one is computed in a turn of the reactor."""

import contextlib
import itertools

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.link.tls_wires import now
from tests.pod.certificates import make_certificate, options, server_context
from tunnelcloud.link.tls import LINK_ALPN, PodTLS
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.port_binding import Binder
from tunnelcloud.net.source_limits import FloodControl
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.net.tls_server import MOST_RECORDS, TAKEN_AT_ONCE, TurnTakingTLS
from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.pki.authority_rotation import Authorities
from tunnelcloud.pod.acme.challenges import ALPN, Answers
from tunnelcloud.pod.connector_listener import connector_listener, door_limits
from tunnelcloud.pod.web_certificate import ShownCertificate

CLIENTS = 40
ROOM = 4 * CLIENTS


COST = 0.002
"""Seconds that one step of a handshake takes."""


class Wire(StringTransport):
    """Stands for a TCP transport."""

    def setTcpNoDelay(self, enabled):
        pass


class Greeted(Protocol):
    """Answers whatever it gets, and pauses its client if it is asked to."""

    def dataReceived(self, data):
        if data == b"fail":
            raise ZeroDivisionError
        if data == b"pause":
            self.transport.pauseProducing()
        self.transport.write(b"heard " + data)


class KeepingBinder(Binder):
    """Gives the factory that a port would have, in the port's place."""

    def listenTCP(self, port, factory, backlog=50, interface=""):
        return factory


class Visit:
    """One client, with its wire."""

    def __init__(self, factory, protocols, host="192.0.2.1"):
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_alpn_protos(protocols)
        self.client = SSL.Connection(context, None)
        self.client.set_tlsext_host_name(b"pod.example.com")
        self.client.set_connect_state()
        self.wire = Wire(peerAddress=IPv4Address("TCP", host, 1))
        self.server = factory.buildProtocol(self.wire.getPeer())
        self.server.makeConnection(self.wire)

    def speak(self, *said):
        """Go on with the handshake, and say something once it is over."""
        if self.wire.value():
            self.client.bio_write(self.wire.value())
            self.wire.clear()
        with contextlib.suppress(SSL.WantReadError):
            self.client.do_handshake()
            for one in said:
                self.client.send(one)
        with contextlib.suppress(SSL.WantReadError):
            self.server.dataReceived(self.client.bio_read(65536))

    def bring(self, *said):
        """Have one read bring a record of each text."""
        for one in said:
            self.client.send(one)
        self.server.dataReceived(self.client.bio_read(1 << 20))

    def heard(self):
        if self.wire.value():
            self.client.bio_write(self.wire.value())
            self.wire.clear()
        heard = b""
        with contextlib.suppress(SSL.WantReadError):
            while True:
                heard += self.client.recv(65536)
        return heard

    @property
    def answered(self):
        return bool(self.wire.value()) or self.wire.disconnecting


class SlowCase(SynchronousTestCase):
    """Lets each step of a handshake take time by the test's clock."""

    def setUp(self):
        self.clock = clock = Clock()
        step = TurnTakingTLS._go_on

        def slow_step(one):
            clock.rightNow += COST
            step(one)

        self.patch(TurnTakingTLS, "_go_on", slow_step)


class DoorTests(SlowCase):
    """Each door where strangers shake hands."""

    def setUp(self):
        super().setUp()
        self.inner = Factory.forProtocol(Greeted)

    def assert_in_turns(self, factory, protocols=(b"http/1.1",)):
        visits = [Visit(factory, list(protocols)) for _ in range(CLIENTS)]
        for visit in visits:
            visit.speak()
        answered = [sum(visit.answered for visit in visits)]
        while answered[-1] < CLIENTS:
            self.assertLess(len(answered), 100 * CLIENTS)
            self.clock.advance(COST / 4)
            answered.append(sum(visit.answered for visit in visits))
        steps = [after - before for before, after in itertools.pairwise(answered)]
        self.assertLessEqual(answered[0], 1)
        self.assertLessEqual(max(steps), 1)
        self.assertGreater(len(steps), 2 * CLIENTS, "others have most of the turns")

    def test_connectors(self):
        authorities = Authorities(CertificateAuthority.create(now()))
        flood = FloodControl(self.clock, lambda: 0.5, door_limits(ROOM))
        door = connector_listener(
            PodTLS(lambda: authorities, now), Protocol, Protocol, self.clock, flood, ROOM
        )
        self.assert_in_turns(door, [LINK_ALPN])

    def test_the_pods_own_certificate(self):
        shown = ShownCertificate()
        shown.show(server_context(*make_certificate("pod.example.com")), now())
        self.assert_in_turns(shown.before(self.inner, self.clock, HandshakeQueue(self.clock)))

    def test_a_listener_of_a_description(self):
        binder = KeepingBinder(None, False, HandshakeQueue(self.clock), Spreading(self.clock))
        self.assert_in_turns(binder.listenSSL(1, self.inner, options()))

    def test_an_authoritys_check(self):
        answers = Answers()
        answers.replace({"pod.example.com": "key authorization"})
        self.assert_in_turns(answers.tls(self.clock), [ALPN])


class TurnTests(SlowCase):
    """What a connection sees of its turns."""

    def setUp(self):
        super().setUp()
        self.turns = HandshakeQueue(self.clock)
        shown = ShownCertificate()
        shown.show(server_context(*make_certificate("pod.example.com")), now())
        self.factory = shown.before(Factory.forProtocol(Greeted), self.clock, self.turns)

    def visit(self, host="192.0.2.1"):
        return Visit(self.factory, [b"http/1.1"], host)

    def finish(self):
        while self.turns._turns:
            self.clock.advance(COST / 4)

    def test_who_waits_is_not_read(self):
        first, second = self.visit(), self.visit()
        first.speak()
        second.speak()
        self.assertEqual(first.wire.producerState, "producing")
        self.assertEqual(second.wire.producerState, "paused")
        self.finish()
        self.assertEqual(second.wire.producerState, "producing")
        self.assertTrue(second.answered)

    def test_all_that_came_meanwhile_is_taken_in_order(self):
        first, second = self.visit(), self.visit()
        second.speak()
        self.finish()
        first.speak()
        second.speak(b"one ", b"two ")
        self.assertFalse(second.answered)
        with contextlib.suppress(SSL.WantReadError):
            second.client.send(b"three")
            second.server.dataReceived(second.client.bio_read(65536))
        self.finish()
        self.assertEqual(second.heard(), b"heard one heard two heard three")

    def test_a_connection_that_is_paused_by_its_protocol_stays_so(self):
        visit = self.visit()
        visit.speak()
        self.finish()
        self.visit().speak()
        visit.speak(b"pause")
        self.finish()
        self.assertEqual(visit.wire.producerState, "paused")

    def test_a_protocol_that_fails_in_a_turn_loses_its_connection(self):
        """As it does outside of a turn, where the reactor sees to it."""
        visit = self.visit()
        visit.speak()
        self.finish()
        self.visit().speak()
        visit.speak(b"fail")
        self.finish()
        self.assertTrue(visit.wire.disconnected or visit.wire.disconnecting)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_handshake_that_goes_on_and_on(self):
        """OpenSSL takes a ClientHello of 128 KiB, and some of what that may list costs the square
        of its length."""
        visit = self.visit()
        visit.server.dataReceived(b"\x16\x03\x01\x40\0" + b"\1\1\xff\xff" + bytes((1 << 14) - 4))
        self.finish()
        self.assertFalse(visit.wire.disconnected)
        visit.server.dataReceived(b"\x16\x03\x01\x40\0" + bytes(1 << 14))
        self.finish()
        self.assertTrue(visit.wire.disconnected)

    def test_who_is_gone_has_no_turn(self):
        first, second = self.visit(), self.visit()
        first.speak()
        second.speak()
        second.server.connectionLost(connectionDone)
        self.assertFalse(self.turns._turns)
        self.finish()
        self.assertLess(len(second.wire.value()), 100, "less than a server's first message")

    def test_another_network_waits_for_one_of_many(self):
        crowd = [self.visit() for _ in range(CLIENTS)]
        for one in crowd:
            one.speak()
        other = self.visit("198.51.100.1")
        other.speak()
        while not other.answered:
            self.clock.advance(COST / 4)
        self.assertLessEqual(sum(one.answered for one in crowd), 3)

    def test_once_shaken_hands_nobody_waits(self):
        visit = self.visit()
        visit.speak()
        self.finish()
        visit.speak()
        self.finish()
        crowd = [self.visit() for _ in range(CLIENTS)]
        for one in crowd:
            one.speak()
        visit.speak(b"one")
        self.assertEqual(visit.heard(), b"heard one")

    def test_a_failure_in_a_turn_takes_nobody_elses(self):
        self.visit().speak()
        self.turns.ask("192.0.2.9", lambda: 1 / 0)
        visit = self.visit()
        visit.speak()
        with self.assertRaises(ZeroDivisionError):
            self.finish()
        self.finish()
        self.assertTrue(visit.answered)


class RecordsTests(SlowCase):
    """What comes in many records is taken in turns, as handshakes are."""

    SMALLEST = 23
    """How many bytes a record of one byte has, with a head and a seal."""

    def setUp(self):
        super().setUp()
        self.heard = heard = []

        class Listening(Protocol):
            def dataReceived(self, data):
                heard.append(data)

        self.turns = HandshakeQueue(self.clock)
        shown = ShownCertificate()
        shown.show(server_context(*make_certificate("pod.example.com")), now())
        self.factory = shown.before(Factory.forProtocol(Listening), self.clock, self.turns)

    def finish(self):
        while self.turns._turns:
            self.clock.advance(COST / 4)

    def shaken(self, host="192.0.2.1"):
        visit = Visit(self.factory, [b"http/1.1"], host)
        for said in (), (), (b"hello",):
            visit.speak(*said)
            self.finish()
            self.clock.advance(1)
        self.heard.clear()
        return visit

    def test_reads_of_many_small_records(self):
        """However many connections bring them at once."""
        count = 700
        visits = [self.shaken() for _ in range(10)]
        for visit in visits:
            visit.bring(*[b"x"] * count)
        most = TAKEN_AT_ONCE // self.SMALLEST + 1
        self.assertLessEqual(len(self.heard), most)
        while len(self.heard) < count * len(visits):
            before = len(self.heard)
            self.clock.advance(COST / 4)
            self.assertLessEqual(len(self.heard) - before, most)
        self.assertEqual({visit.wire.producerState for visit in visits}, {"producing"})

    def test_all_arrives_in_order(self):
        visit = self.shaken()
        texts = [b"%d " % number for number in range(1000)]
        visit.bring(*texts[:600])
        self.assertEqual(visit.wire.producerState, "paused")
        visit.bring(*texts[600:610])
        visit.bring(*texts[610:])
        self.finish()
        self.assertEqual(b"".join(self.heard), b"".join(texts))

    def test_few_records_wait_for_nothing(self):
        """However many reads bring them, and however large they are."""
        visit = self.shaken()
        for _ in range(10):
            visit.bring(*[b"x"] * (MOST_RECORDS - 1))
            visit.bring(bytes(1 << 14))
        self.assertEqual(sum(map(len, self.heard)), 10 * (MOST_RECORDS - 1 + (1 << 14)))

    def test_who_is_gone_brings_no_more(self):
        visit = self.shaken()
        visit.bring(*[b"x"] * 1000)
        before = len(self.heard)
        self.assertLess(before, 1000)
        visit.server.connectionLost(connectionDone)
        self.finish()
        self.assertEqual(len(self.heard), before)

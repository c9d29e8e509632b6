"""Whoever asks for much at once waits for their own, and nobody else does."""

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.web.test_limits import TurningClock
from tunnelcloud.domain.addresses import party_of
from tunnelcloud.web.limits import LimitedSite
from tunnelcloud.web.parties import MOST_A_TURN, MOST_IN_WORK


class Later(Resource):
    """Answers when a test says so."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.begun = []

    def render_GET(self, request):
        self.begun.append(request)
        return NOT_DONE_YET


class Producer:
    def stopProducing(self):
        pass

    pauseProducing = resumeProducing = stopProducing


class PartyTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.root = Later()
        self.site = LimitedSite(self.root, self.clock)

    def ask(self, host):
        """Ask on a connection of its own."""
        address = IPv4Address("TCP", host, 4000)
        channel = self.site.buildProtocol(address)
        channel.makeConnection(StringTransport(peerAddress=address))
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.addCleanup(channel.setTimeout, None)
        return channel

    def turn(self):
        """Let the reactor turn as often as it needs."""
        for _ in range(MOST_IN_WORK // MOST_A_TURN):
            self.clock.advance(0)

    def begun(self):
        self.clock.advance(0)
        return len(self.root.begun)

    def test_one_party_waits_for_its_own(self):
        mine = [self.ask("192.0.2.1") for _ in range(MOST_IN_WORK + 3)]
        self.turn()
        self.assertEqual(self.begun(), MOST_IN_WORK)
        for neighbour in ("192.0.2.2", "198.51.100.1"):
            self.ask(neighbour)
        self.assertEqual(self.begun(), MOST_IN_WORK + 2)
        for more in range(1, 4):
            self.root.begun[more].finish()
            self.assertEqual(self.begun(), MOST_IN_WORK + 2 + more)
        for one in mine:
            one.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.site.parties._counts, {"192.0.2.2": 1, "198.51.100.1": 1})

    def test_so_many_begin_in_a_turn(self):
        """Also of those that are answered at once: 200 of ``/metrics`` took a second."""
        self.patch(Later, "render_GET", lambda one, request: one.begun.append(request) or b"")
        self.clock = TurningClock()
        self.site = LimitedSite(self.root, self.clock)
        for _ in range(3 * MOST_A_TURN):
            self.ask("192.0.2.1")
        self.ask("192.0.2.2")
        for turn in range(3):
            self.assertEqual(len(self.root.begun), (turn + 1) * MOST_A_TURN + 1)
            self.clock.turn()

    def test_one_that_is_lost_while_it_waits(self):
        """It is forgotten, and another goes on."""
        for _ in range(MOST_IN_WORK):
            self.ask("192.0.2.1")
        self.turn()
        lost, last = self.ask("192.0.2.1"), self.ask("192.0.2.1")
        lost.connectionLost(Failure(ConnectionDone()))
        self.root.begun[0].finish()
        self.assertEqual(self.begun(), MOST_IN_WORK + 1)
        self.assertIs(self.root.begun[-1].channel, last)
        self.assertEqual(self.site.parties._waiting, {})

    def test_answers_that_go_on_keep_none_waiting(self):
        for number in range(2 * MOST_IN_WORK):
            self.ask("192.0.2.1")
            self.assertEqual(self.begun(), number + 1)
            self.root.begun[-1].registerProducer(Producer(), True)
        self.assertEqual(self.site.parties._counts, {})

    def test_whose_a_request_is(self):
        """Of IPv4 neighbours may be anybody; 65,536 networks of IPv6 are one rented machine's."""
        for source, party in (
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
            ("unix", "unix"),
        ):
            self.assertEqual(party_of(source), party)

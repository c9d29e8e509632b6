"""Whoever asks for much at once waits for their own, and nobody else does."""

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tunnelcloud.domain.addresses import party_of
from tunnelcloud.web.http_limits import LimitedSite
from tunnelcloud.web.request_concurrency import MOST_IN_WORK


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

    def begun(self):
        self.clock.advance(0)
        return len(self.root.begun)

    def test_one_party_waits_for_its_own(self):
        mine = [self.ask("192.0.2.1") for _ in range(MOST_IN_WORK + 3)]
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

    def test_a_party_leaves_as_much_time_as_it_takes(self):
        """Also of requests that are answered at once: 200 of ``/metrics`` took a second."""

        def answer(one, request):
            one.begun.append(request.getClientAddress().host)
            self.clock.rightNow += 0.005
            return b""

        self.patch(Later, "render_GET", answer)
        for _ in range(100):
            self.ask("192.0.2.1")
        self.assertEqual(self.begun(), 1)
        self.ask("192.0.2.2")
        self.assertEqual(self.root.begun, ["192.0.2.1", "192.0.2.2"])
        began = self.clock.seconds()
        for _ in range(500):
            self.clock.advance(0.001)
        taken = 0.005 * len(self.root.begun)
        self.assertLessEqual(taken, 0.55 * (self.clock.seconds() - began))
        self.assertGreaterEqual(taken, 0.4 * (self.clock.seconds() - began))
        self.assertEqual(self.root.begun.count("192.0.2.2"), 1)

    def test_a_long_rest_of_one_holds_up_no_other(self):
        def answer(one, request):
            one.begun.append(request)
            self.clock.rightNow += 10 if request.getClientAddress().host == "192.0.2.1" else 0
            return NOT_DONE_YET

        self.patch(Later, "render_GET", answer)
        for _ in range(2):
            self.ask("192.0.2.1")
        for _ in range(MOST_IN_WORK + 1):
            self.ask("192.0.2.2")
        self.assertEqual(self.begun(), MOST_IN_WORK + 1)
        self.root.begun[-1].finish()
        self.assertEqual(self.begun(), MOST_IN_WORK + 2)
        self.clock.advance(10)
        self.assertEqual(self.begun(), MOST_IN_WORK + 3)

    def test_nothing_is_kept_of_who_has_rested(self):
        class Quick:
            def go_on(self):
                pass

        parties = self.site.parties
        for number in range(3000):
            request = Quick()
            parties.begin(request, str(number))
            parties.over(request, str(number))
        self.assertLess(len(parties._rests_until), 1001)
        self.assertEqual((parties._in_work, parties._counts, parties._waiting), ({}, {}, {}))

    def test_one_that_is_lost_while_it_waits(self):
        """It is forgotten, and another goes on."""
        for _ in range(MOST_IN_WORK):
            self.ask("192.0.2.1")
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

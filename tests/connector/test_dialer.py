import errno
import threading
from ipaddress import ip_address

from twisted.internet import error, reactor
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.connector.reactors import NetworkReactor
from tunnelcloud.connector.allowed_targets import parse_access_list
from tunnelcloud.connector.dialer import CONNECT_TIMEOUT, Dialer, DialLimits
from tunnelcloud.connector.happy_eyeballs import ATTEMPT_DELAY, interleaved
from tunnelcloud.domain.dial_failures import DialError, DialFailure
from tunnelcloud.net.interfaces import IResolver
from tunnelcloud.net.resolver import ThreadedResolver


@implementer(IResolver)
class Names:
    """A resolver that knows what it was told."""

    def __init__(self, **names):
        self.names = {name.replace("_", "."): found for name, found in names.items()}
        self.asked = []
        self.forgotten = []

    def forget(self, name):
        self.forgotten.append(name)
        return True

    def resolve(self, name):
        self.asked.append(name)
        found = self.names.get(name)
        if isinstance(found, Deferred):
            return found
        if found is None:
            return fail(DialError(DialFailure.NAME_NOT_FOUND))
        return succeed([ip_address(text) for text in found])


class DialerCase(SynchronousTestCase):
    def setUp(self):
        self.reactor = NetworkReactor()
        self.names = Names(
            db_internal=["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"], rebound=["127.0.0.1"]
        )
        verifyObject(IResolver, self.names)
        self.dialer = self.make()

    def make(self, allow=(), deny=(), limits=None):
        access = parse_access_list(allow, deny)
        return Dialer(self.reactor, access, self.names, limits or DialLimits())

    def dial(self, host="10.0.0.5", port=5432, dialer=None):
        return (dialer or self.dialer).dial(host, port, Protocol)

    def assert_failed(self, dialing, failure):
        self.assertEqual(self.failureResultOf(dialing, DialError).value.failure, failure)

    def assert_quiet(self):
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.dialer.connections, 0)


class DialerTests(DialerCase):
    def test_connects_to_an_address(self):
        dialing = self.dial("[::ffff:10.0.0.5]")
        self.assertEqual(self.reactor.tcpClients[0][:2], ("10.0.0.5", 5432))
        protocol = self.reactor.accept(0)
        self.assertIs(self.successResultOf(dialing), protocol)
        self.assertEqual(self.dialer.connections, 1)
        self.reactor.lose(0)
        self.assert_quiet()

    def test_connects_to_what_it_resolved_and_checked(self):
        self.dial("DB.internal.", dialer=self.make(deny=["10.0.0.1"]))
        self.assertEqual(self.names.asked, ["db.internal"])
        self.assertEqual(self.reactor.wanted, ["10.0.0.2"])

    def test_denied(self):
        for host in ("127.0.0.1", "2130706433", "0x7f.1", "::ffff:169.254.169.254", "rebound"):
            self.assert_failed(self.dial(host), DialFailure.DENIED)
        self.assertEqual(self.reactor.wanted, [])
        self.assert_quiet()

    def test_a_name_that_no_rule_can_allow_is_not_looked_up(self):
        dialer = self.make(allow=["other.internal"])
        self.assert_failed(self.dial("db.internal", dialer=dialer), DialFailure.DENIED)
        self.assertEqual(self.names.asked, [])

    def test_what_is_no_target(self):
        self.assert_failed(self.dial("a b"), DialFailure.NAME_NOT_FOUND)
        self.assert_failed(self.dial("nobody.internal"), DialFailure.NAME_NOT_FOUND)
        for port in (0, -1, 65536):
            self.assert_failed(self.dial(port=port), DialFailure.DENIED)
        self.assert_quiet()

    def test_failures_have_names(self):
        for why, failure in (
            (error.ConnectionRefusedError(errno.ECONNREFUSED), DialFailure.REFUSED),
            (error.TCPTimedOutError(errno.ETIMEDOUT), DialFailure.TIMED_OUT),
            (error.NoRouteError(errno.EHOSTUNREACH), DialFailure.UNREACHABLE),
            (error.ConnectError(errno.ENETUNREACH), DialFailure.UNREACHABLE),
            (error.ConnectBindError(errno.EMFILE), DialFailure.LIMIT),
            (error.ConnectError(), DialFailure.FAILED),
            (RuntimeError(), DialFailure.FAILED),
        ):
            dialing = self.dial()
            self.reactor.refuse(-1, why)
            self.assert_failed(dialing, failure)
        self.assert_quiet()

    def test_silence_times_out(self):
        dialing = self.dial()
        self.reactor.advance(CONNECT_TIMEOUT)
        self.assert_failed(dialing, DialFailure.TIMED_OUT)
        self.assert_quiet()

    def test_cancelling_gives_up(self):
        dialing = self.dial("db.internal")
        dialing.cancel()
        self.failureResultOf(dialing, CancelledError)
        self.assertIsNone(self.reactor.accept(0))
        self.assert_quiet()

    def test_cancelling_while_a_name_is_looked_up(self):
        self.names.names["slow"] = Deferred()
        dialing = self.dial("slow")
        dialing.cancel()
        self.failureResultOf(dialing, CancelledError)
        self.assert_quiet()

    def test_limits(self):
        dialer = self.make(limits=DialLimits(per_target=2, pending=3))
        first = self.dial(dialer=dialer)
        self.dial(dialer=dialer)
        self.assert_failed(self.dial(dialer=dialer), DialFailure.LIMIT)
        self.dial(port=1, dialer=dialer)
        self.assert_failed(self.dial(port=2, dialer=dialer), DialFailure.LIMIT)
        self.reactor.accept(0)
        self.assertTrue(first.called)
        self.assertNoResult(self.dial(port=3, dialer=dialer))
        self.assert_failed(self.dial(dialer=dialer), DialFailure.LIMIT)
        self.reactor.lose(0)
        self.reactor.accept(1)
        self.assertNoResult(self.dial(dialer=dialer))


class MovedNameTests(DialerCase):
    def test_a_name_that_moved_is_followed_within_one_attempt(self):
        self.names.names["moved"] = ["10.0.0.1"]
        dialing = self.dial("moved")
        self.names.names["moved"] = ["10.0.0.9"]
        self.reactor.refuse(0)
        self.assertEqual(self.names.forgotten, ["moved"])
        self.assertEqual(self.reactor.wanted, ["10.0.0.1", "10.0.0.9"])
        protocol = self.reactor.accept(1)
        self.assertIs(self.successResultOf(dialing), protocol)

    def test_one_that_did_not_is_asked_for_once_more_and_no_further(self):
        self.names.names["still"] = ["10.0.0.1"]
        dialing = self.dial("still")
        self.reactor.refuse(0)
        self.assert_failed(dialing, DialFailure.REFUSED)
        self.assertEqual(self.reactor.wanted, ["10.0.0.1"])
        self.assertEqual(self.names.asked, ["still", "still"])
        self.names.names["moving"] = ["10.0.0.1"]
        dialing = self.dial("moving")
        self.names.names["moving"] = ["10.0.0.2"]
        self.reactor.refuse(1)
        self.names.names["moving"] = ["10.0.0.3"]
        self.reactor.refuse(2)
        self.assert_failed(dialing, DialFailure.REFUSED)
        self.assertEqual(len(self.reactor.wanted), 3)
        self.assert_quiet()

    def test_addresses_are_not_looked_up(self):
        dialing = self.dial("10.0.0.5")
        self.reactor.refuse(0)
        self.assert_failed(dialing, DialFailure.REFUSED)
        self.assertEqual(self.names.forgotten, [])


class HappyEyeballsTests(DialerCase):
    def setUp(self):
        super().setUp()
        self.dialing = self.dial("db.internal")

    def test_families_take_turns_a_quarter_second_apart(self):
        self.assertEqual(self.reactor.wanted, ["10.0.0.1"])
        for _ in range(5):
            self.reactor.advance(ATTEMPT_DELAY)
        self.assertEqual(self.reactor.wanted, ["10.0.0.1", "fd00::1", "10.0.0.2", "fd00::2"])

    def test_a_failure_starts_the_next_at_once(self):
        self.reactor.refuse(0)
        self.assertEqual(self.reactor.wanted, ["10.0.0.1", "fd00::1"])
        self.reactor.advance(ATTEMPT_DELAY / 2)
        self.assertEqual(len(self.reactor.wanted), 2)

    def test_the_first_to_answer_wins(self):
        self.reactor.advance(ATTEMPT_DELAY)
        winner = self.reactor.accept(1)
        self.assertIs(self.successResultOf(self.dialing), winner)
        self.assertIsNone(self.reactor.accept(0))
        self.reactor.lose(0)
        self.assertEqual(self.dialer.connections, 1)
        self.reactor.lose(1)
        self.assert_quiet()

    def test_the_most_telling_failure_is_told(self):
        self.reactor.refuse(0, error.NoRouteError(errno.EHOSTUNREACH))
        self.reactor.refuse(1)
        self.reactor.refuse(2, error.NoRouteError(errno.EHOSTUNREACH))
        self.assertNoResult(self.dialing)
        self.reactor.refuse(3, error.TCPTimedOutError(errno.ETIMEDOUT))
        self.assert_failed(self.dialing, DialFailure.REFUSED)
        self.assert_quiet()

    def test_interleaving_begins_with_the_preferred_family(self):
        addresses = [ip_address(text) for text in ("fd00::1", "fd00::2", "10.0.0.1")]
        self.assertEqual(
            [str(each) for each in interleaved(addresses)], ["fd00::1", "10.0.0.1", "fd00::2"]
        )


class Visit(Protocol):
    """Leaves at once, and tells when it is over."""

    def __init__(self, lost):
        self.lost = lost

    def connectionMade(self):
        self.transport.loseConnection()

    def connectionLost(self, reason=None):
        self.lost.callback(None)


class NetworkTests(TestCase):
    """Over loopback."""

    timeout = 20

    def make(self):
        access = parse_access_list(["127.0.0.1"], [])
        return Dialer(reactor, access, ThreadedResolver(reactor))

    def test_an_open_port(self):
        greeted = Deferred()

        class Greeter(Protocol):
            def connectionMade(self):
                self.transport.write(b"hello")

        class Greeted(Protocol):
            def dataReceived(self, data):
                greeted.callback(data)
                self.transport.loseConnection()

        port = reactor.listenTCP(0, Factory.forProtocol(Greeter), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        dialer = self.make()
        dialer.dial("127.1", port.getHost().port, Greeted)

        def check(data):
            self.assertEqual(data, b"hello")
            self.assertEqual(dialer.connections, 1)

        return greeted.addCallback(check)

    async def test_fifty_hanging_look_ups_delay_no_other_target(self):
        answering = threading.Event()
        self.addCleanup(answering.set)

        def lookup(name):
            if name != "alive.internal":
                answering.wait()
            return [ip_address("127.0.0.1")]

        access = parse_access_list(["127.0.0.0/8", "10.0.0.0/8"], [])
        dialer = Dialer(reactor, access, ThreadedResolver(reactor, lookup))
        port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        hanging = [dialer.dial(f"dead-{n}.internal", 80, Protocol) for n in range(50)]
        for host in ("alive.internal", "127.0.0.1"):
            lost = Deferred()
            await dialer.dial(host, port.getHost().port, lambda lost=lost: Visit(lost))
            self.assertEqual(len([each for each in hanging if each.called]), 0)
            await lost
        for each in hanging:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        await deferLater(reactor, 0)  # the protocol hears of its end before the dialer does
        self.assertEqual(dialer.connections, 0)

    async def test_a_closed_port(self):
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        dialing = self.make().dial("127.0.0.1", number, Protocol)
        problem = await self.assertFailure(dialing, DialError)
        self.assertEqual(problem.failure, DialFailure.REFUSED)

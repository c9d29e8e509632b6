import socket
import threading
from ipaddress import IPv4Address, ip_address

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.connector.reactors import NetworkReactor
from tunnelcloud.domain.dial_failures import DialError, DialFailure
from tunnelcloud.net.resolver import (
    CACHE_SECONDS,
    LOOKUP_TIMEOUT,
    MAX_LOOKUPS,
    MOST_ADDRESSES,
    ThreadedResolver,
)

FOUND = (ip_address("10.0.0.5"),)


class ResolverTests(SynchronousTestCase):
    def setUp(self):
        self.reactor = NetworkReactor()
        self.threads = []
        self.answer = FOUND
        self.asked = []
        self.resolver = ThreadedResolver(self.reactor, self.lookup, self.threads.append)

    def lookup(self, name):
        self.asked.append(name)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def finish(self):
        self.threads.pop(0)()

    def failure_of(self, resolving):
        return self.failureResultOf(resolving, DialError).value.failure

    def test_those_who_ask_at_once_share_one_look_up(self):
        asking = [self.resolver.resolve("db.internal") for _ in range(3)]
        self.finish()
        for each in asking:
            self.assertEqual(self.successResultOf(each), FOUND)
        self.assertEqual(self.asked, ["db.internal"])

    def test_what_was_found_is_good_for_30_seconds(self):
        for _ in range(2):
            self.resolver.resolve("db.internal")
            self.finish()
            self.reactor.advance(CACHE_SECONDS - 0.1)
            self.assertEqual(self.successResultOf(self.resolver.resolve("db.internal")), FOUND)
            self.reactor.advance(0.2)
        self.assertEqual(len(self.asked), 2)

    def test_what_is_forgotten_is_looked_up_anew(self):
        self.resolver.resolve("db.internal")
        self.finish()
        self.assertTrue(self.resolver.forget("db.internal"))
        self.assertFalse(self.resolver.forget("db.internal"))
        self.resolver.resolve("db.internal")
        self.finish()
        self.assertEqual(self.asked, ["db.internal"] * 2)

    def test_few_of_the_addresses_of_a_name_are_taken(self):
        """A server of names may give thousands, and each is checked whenever somebody connects."""
        self.answer = tuple(IPv4Address(number) for number in range(4000))
        resolving = self.resolver.resolve("db.internal")
        self.finish()
        self.assertEqual(self.successResultOf(resolving), self.answer[:MOST_ADDRESSES])

    def test_failures_have_names_and_are_not_kept(self):
        for answer, failure in (
            (socket.gaierror(socket.EAI_NONAME, ""), DialFailure.NAME_NOT_FOUND),
            (socket.gaierror(socket.EAI_AGAIN, ""), DialFailure.NAME_LOOKUP_FAILED),
            (OSError(), DialFailure.NAME_LOOKUP_FAILED),
            (UnicodeError(), DialFailure.NAME_LOOKUP_FAILED),
            ((), DialFailure.NAME_NOT_FOUND),
        ):
            self.answer = answer
            resolving = self.resolver.resolve("db.internal")
            self.finish()
            self.assertEqual(self.failure_of(resolving), failure)

    def test_a_hanging_look_up_is_given_up_and_asked_once(self):
        for _ in range(3):
            resolving = self.resolver.resolve("db.internal")
            self.reactor.advance(LOOKUP_TIMEOUT)
            self.assertEqual(self.failure_of(resolving), DialFailure.NAME_LOOKUP_FAILED)
        self.assertEqual(len(self.threads), 1)
        self.finish()
        self.assertEqual(self.successResultOf(self.resolver.resolve("db.internal")), FOUND)

    def test_cancelling_affects_nobody_else(self):
        first, second, third = (self.resolver.resolve("db.internal") for _ in range(3))
        first.addCallback(lambda _: third.cancel())
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.finish()
        self.failureResultOf(third, CancelledError)
        self.assertEqual(self.asked, ["db.internal"])

    def test_the_number_of_look_ups_is_bounded(self):
        for number in range(MAX_LOOKUPS):
            self.resolver.resolve(f"{number}.internal")
        self.assertEqual(self.failure_of(self.resolver.resolve("x")), DialFailure.LIMIT)
        self.finish()
        self.assertNoResult(self.resolver.resolve("x"))


class ThreadTests(TestCase):
    timeout = 20

    def test_fifty_hanging_look_ups_delay_nobody(self):
        answering = threading.Event()
        self.addCleanup(answering.set)

        def lookup(name):
            if name != "alive.internal":
                answering.wait()
            return FOUND

        resolver = ThreadedResolver(reactor, lookup)
        dead = [resolver.resolve(f"dead-{number}.internal") for number in range(50)]

        def alive(addresses):
            self.assertEqual(addresses, FOUND)
            for each in dead:
                self.assertNoResult(each)
            answering.set()
            return gatherResults(dead)

        return resolver.resolve("alive.internal").addCallback(alive)

    def test_asks_the_system(self):
        def found(addresses):
            self.assertIn(ip_address("127.0.0.1"), addresses)

        return ThreadedResolver(reactor).resolve("localhost").addCallback(found)

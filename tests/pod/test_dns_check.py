"""Where a name leads, as far as that can be told in time."""

import socket
import threading

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.web.support import QueuedReactor
from tunnelcloud.domain.addresses import read_address
from tunnelcloud.net.resolver import ThreadedResolver, system_lookup
from tunnelcloud.pod.dns_check import DNSCheck

NAMES = {
    "pod.example.com": ["203.0.113.5", "2001:db8::5"],
    "db.example.com": ["203.0.113.5"],
    "elsewhere.example.com": ["192.0.2.1"],
}


class ClockedReactor(Clock, QueuedReactor):
    def __init__(self):
        QueuedReactor.__init__(self)
        Clock.__init__(self)


class ReachTests(SynchronousTestCase):
    def setUp(self):
        self.reactor = ClockedReactor()
        self.pods = ["pod.example.com"]
        self.hanging = threading.Event()
        self.addCleanup(self.hanging.set)

    def look_up(self, host):
        if host.startswith("hangs"):
            self.hanging.wait(20)
        if host not in NAMES:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [read_address(text) for text in NAMES[host]]

    def reach(self):
        resolver = ThreadedResolver(self.reactor, self.look_up, timeout=2, most=8, keep=0)
        return DNSCheck(resolver, lambda: self.pods)

    def warning(self, name):
        found = []
        self.reach().warning(name).addCallback(found.append)
        while not found:
            self.reactor.run_one()
        return found[0]

    def test_a_name_of_a_pod(self):
        self.assertIsNone(self.warning("db.example.com"))
        self.pods = ["203.0.113.5"]
        self.assertIsNone(self.warning("db.example.com"))

    def test_a_name_that_there_is_not(self):
        self.assertEqual(
            self.warning("nothing.example.com"),
            "nothing.example.com doesn't resolve: clients reach a pod by it once it leads to "
            "pod.example.com",
        )

    def test_a_name_of_something_else(self):
        self.assertEqual(
            self.warning("elsewhere.example.com"),
            "elsewhere.example.com is 192.0.2.1, which is no pod: let it lead to pod.example.com",
        )

    def test_pods_that_cannot_be_found(self):
        self.pods = ["gone.example.com"]
        self.assertIsNone(self.warning("elsewhere.example.com"))

    def test_a_resolver_that_hangs_is_not_waited_for(self):
        reach, found = self.reach(), []
        reach.warning("hangs.example.com").addCallback(found.append)
        self.reactor.run_one()
        self.assertEqual(found, [])
        self.reactor.advance(2)
        self.assertEqual(found, [None])
        for number in range(7):
            reach.addresses(f"hangs-{number}.example.com")
        self.assertIsNone(self.successResultOf(reach.addresses("db.example.com")))
        self.hanging.set()
        for _ in range(8):
            self.reactor.run_one()
        again = reach.addresses("db.example.com")
        self.reactor.run_one()
        self.assertEqual(self.successResultOf(again), frozenset(NAMES["db.example.com"]))

    def test_the_systems_resolver(self):
        self.assertIn(read_address("127.0.0.1"), system_lookup("127.0.0.1"))
        self.assertRaises(OSError, system_lookup, "nothing.invalid")

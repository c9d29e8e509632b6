"""Who fails at one pod is slowed down at all of them."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.store.pods_in_memory import Pods
from tunnelcloud.domain.addresses import read_networks
from tunnelcloud.net.source_limits import REFUSED_LOGIN, FloodControl
from tunnelcloud.pod.penalties import MOST_SOURCES, SharedPenalties
from tunnelcloud.store.postgres import notice
from tunnelcloud.store.transaction import Change


class PenaltyTests(SynchronousTestCase):
    def setUp(self):
        self.store = Pods()
        self.floods, self.shared = [], []
        for pod_id in ("pod_1", "pod_2"):
            flood = FloodControl(Clock(), lambda: 0.5, exempt=read_networks(["10.0.0.0/8"]))
            self.floods.append(flood)
            self.shared.append(SharedPenalties(flood, self.store, pod_id))

    def exchange(self):
        for one in self.shared:
            self.successResultOf(one.send())
        for change in self.store.changes:
            for one in self.shared:
                one.changed(change)
        self.store.changes = []

    def offend(self, source, times=4):
        for _ in range(times):
            self.floods[0].offended(source, REFUSED_LOGIN)

    def test_the_other_pod_refuses_too(self):
        self.offend("192.0.2.1")
        self.offend("2001:db8::1")
        self.exchange()
        for flood in self.floods:
            for source in ("192.0.2.1", "2001:db8::1"):
                self.assertIn("too many failed logins", flood.connection_made(source))
            self.assertEqual(flood.connection_made("192.0.2.99"), "")

    def test_an_offence_counts_once_on_each(self):
        self.offend("192.0.2.1", times=3)
        for _ in range(5):
            self.exchange()
        for flood in self.floods:
            self.assertEqual(flood.connection_made("192.0.2.1"), "")

    def test_each_pod_spares_whom_it_exempts(self):
        self.offend("10.0.0.1")
        self.store.changes.append(Change("penalty", "pod_3", False, ("10.0.0.1=100",)))
        self.exchange()
        self.assertEqual(self.floods[1].connection_made("10.0.0.1"), "")

    def test_a_flood_is_one_small_notice(self):
        for number in range(3000):
            self.floods[0].offended(f"2001:db8:{number:x}:ffff:ffff:ffff:ffff:ffff", 600)
        self.successResultOf(self.shared[0].send())
        [change] = self.store.changes
        self.assertEqual(len(change.concerns), MOST_SOURCES)
        self.assertLess(len(notice(change)), 8000)

    def test_a_store_that_is_away_harms_nothing(self):
        self.offend("192.0.2.1")
        self.store.away = True
        self.successResultOf(self.shared[0].send())
        self.assertIn("too many", self.floods[0].connection_made("192.0.2.1"))

    def test_a_penalty_is_lifted_on_all(self):
        self.offend("192.0.2.1")
        self.exchange()
        self.assertEqual([len(one.shut_out(5)) for one in self.shared], [1, 1])
        self.shared[1].lift(self.store, "192.0.2.1")
        self.exchange()
        self.assertEqual([one.shut_out(5) for one in self.shared], [[], []])
        for flood in self.floods:
            self.assertEqual(flood.connection_made("192.0.2.1"), "")

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.connector.link_keeper import (
    DISMISSED_DELAY,
    LONGEST_DELAY,
    SHORTEST_DELAY,
    STABLE_AFTER,
    LinkKeeper,
)
from tunnelcloud.connector.links import LONGEST_REASON
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.net.escaping import escape
from tunnelcloud.pod.link_owner import CLONED


class KeeperTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.dialled = []
        self.random = 0.5
        self.refuse = False
        self.keeper = LinkKeeper(
            PublicAddress("pod.example", 8443), self.dial, self.clock, lambda: self.random
        )

    def dial(self, keeper):
        self.assertIs(keeper, self.keeper)
        dialling = fail(ConnectError()) if self.refuse else Deferred()
        self.dialled.append(dialling)
        return dialling

    def succeed(self):
        self.dialled[-1].callback(object())

    def delay(self):
        """Wait for the next attempt; give the seconds it took."""
        (call,) = self.clock.getDelayedCalls()
        seconds = call.getTime() - self.clock.seconds()
        self.clock.advance(seconds)
        return seconds

    def test_dials_at_once_and_stays(self):
        self.keeper.start()
        self.assertFalse(self.keeper.connected)
        self.succeed()
        self.assertTrue(self.keeper.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_waits_twice_as_long_after_each_failure_up_to_a_bound(self):
        self.refuse = True
        self.keeper.start()
        delays = [self.delay() for _ in range(12)]
        self.assertEqual(delays[:4], [SHORTEST_DELAY * factor for factor in (1, 2, 4, 8)])
        self.assertEqual(delays[-1], LONGEST_DELAY)
        self.assertEqual(len(self.dialled), 13)

    def test_waits_long_once_the_pod_has_dismissed_it(self):
        self.keeper.start()
        self.succeed()
        self.keeper.dismissed("the connector was deleted")
        self.keeper.lost("Connection was closed cleanly.")
        self.assertEqual(self.delay(), DISMISSED_DELAY)
        self.succeed()
        self.keeper.lost("Connection was closed cleanly.")
        self.assertLess(self.delay(), LONGEST_DELAY)

    def test_what_to_do_about_a_second_process_is_told_whole(self):
        self.assertEqual(escape(CLONED, LONGEST_REASON), CLONED)

    def test_it_rests_until_it_is_to_go_on(self):
        self.keeper.start()
        self.keeper.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.keeper.resume()
        self.succeed()
        self.keeper.stop()
        self.keeper.resume()
        self.keeper.resume()
        self.assertEqual(len(self.dialled), 2)
        self.keeper.lost("")
        self.delay()
        self.assertEqual(len(self.dialled), 3)

    def test_jitter_keeps_connectors_apart(self):
        self.refuse = True
        self.keeper.start()
        self.random = 0.0
        self.delay()
        shortest = self.delay()
        self.random = 1.0
        self.delay()
        self.assertEqual(shortest, SHORTEST_DELAY)
        self.assertEqual(self.delay(), SHORTEST_DELAY * 8 * 1.5)

    def test_a_link_that_worked_is_dialled_again_soon(self):
        self.keeper.start()
        for _ in range(3):
            self.succeed()
            self.clock.advance(STABLE_AFTER)
            self.keeper.lost("")
            self.assertEqual(self.delay(), SHORTEST_DELAY)

    def test_a_pod_that_hangs_up_at_once_is_not_hammered(self):
        self.keeper.start()
        delays = []
        for _ in range(8):
            self.succeed()
            self.keeper.lost("certificate revoked")
            self.assertFalse(self.keeper.connected)
            delays.append(self.delay())
        self.assertEqual(delays[-1], LONGEST_DELAY)

    def test_stopping_while_it_waits_dials_or_is_connected(self):
        self.refuse = True
        self.keeper.start()
        self.keeper.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.refuse = False
        self.keeper.start()
        self.keeper.stop()
        self.assertTrue(self.dialled[-1].called, "cancelled")
        self.keeper.start()
        self.succeed()
        self.keeper.stop()
        self.keeper.lost("")
        self.assertEqual(self.clock.getDelayedCalls(), [])

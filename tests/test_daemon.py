"""What a service tells systemd: that it is ready, and that its reactor turns."""

import io
import os
import signal
import socket
import sys

from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud import daemon
from tunnelcloud.daemon import CannotServe, endpoint_of, tell_ready


class ReadyTests(SynchronousTestCase):
    def setUp(self):
        self.heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.heard.close)
        name = f"tunnelcloud-test-{os.getpid()}-{id(self)}"
        self.heard.bind("\0" + name)
        self.heard.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": f"@{name}"}
        self.clock = Clock()

    def words(self):
        found = []
        while True:
            try:
                found.append(self.heard.recv(100).decode())
            except BlockingIOError:
                return found

    def test_ready_alone(self):
        tell_ready(self.clock, self.environment)
        self.assertEqual(self.words(), ["READY=1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_watchdog_is_fed_while_the_reactor_turns(self):
        self.environment |= {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
        tell_ready(self.clock, self.environment)
        self.assertEqual(self.words(), ["READY=1", "WATCHDOG=1"])
        self.clock.pump([10.0] * 12)
        self.assertEqual(self.words(), ["WATCHDOG=1"] * 6)

    def test_the_watchdog_of_another_process_is_not_ours(self):
        for wrong in ({"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}):
            tell_ready(self.clock, {**self.environment, "WATCHDOG_USEC": "60000000", **wrong})
            self.assertEqual(self.words(), ["READY=1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_systemd_that_is_away_ends_nothing(self):
        self.environment |= {"WATCHDOG_USEC": "60000000"}
        tell_ready(self.clock, self.environment)
        self.heard.close()
        self.clock.advance(20.0)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)


class HeardTests(SynchronousTestCase):
    def heard(self, output):
        self.patch(sys, "__stdout__", output)
        return daemon.is_heard()

    def test_output_that_goes_nowhere(self):
        """As a daemon that twistd made."""
        self.assertFalse(self.heard(None))
        with open(os.devnull, "w") as nowhere:
            self.assertFalse(self.heard(nowhere))

    def test_output_that_somebody_may_read(self):
        self.assertTrue(self.heard(io.StringIO()))
        with open(self.mktemp(), "w") as log:
            self.assertTrue(self.heard(log))


class ListeningTests(SynchronousTestCase):
    def interfaces(self, description):
        reactor = MemoryReactor()
        endpoint_of(reactor, "ssh.listen", description).listen(Factory())
        return [interface for _, _, _, interface in reactor.tcpServers]

    def test_a_description_without_an_interface_means_both_families_where_there_are_both(self):
        self.patch(daemon, "has_both_families", lambda: True)
        self.assertEqual(self.interfaces("tcp:2222"), ["::"])
        self.assertEqual(self.interfaces("tcp:port=2222:backlog=9"), ["::"])
        self.patch(daemon, "has_both_families", lambda: False)
        self.assertEqual(self.interfaces("tcp:2222"), [""])

    def test_what_a_parser_calls_its_arguments_is_not_told(self):
        error = self.assertRaises(CannotServe, self.interfaces, "tcp:2222:inter")
        self.assertIn("'tcp:2222:inter' is not an endpoint: use", str(error))

    def test_a_socket_that_systemd_has_not_handed_over(self):
        for which in ("index=7", "name=web"):
            error = self.assertRaises(CannotServe, self.interfaces, f"systemd:domain=INET:{which}")
            self.assertIn("start its socket unit", str(error))

    def test_a_chosen_interface_is_the_only_one(self):
        self.patch(daemon, "has_both_families", lambda: True)
        for chosen in ("127.0.0.1", "0.0.0.0"):
            self.assertEqual(self.interfaces(f"tcp:2222:interface={chosen}"), [chosen])


class HangupTests(SynchronousTestCase):
    def setUp(self):
        for one in (signal.SIGHUP, signal.SIGUSR1):
            self.addCleanup(signal.signal, one, signal.getsignal(one))
            signal.signal(one, signal.SIG_DFL)
        self.calls = []

    def callFromThread(self, call):
        """As a reactor does."""
        self.calls.append(call)

    def hang_up(self, times):
        for _ in range(times):
            signal.raise_signal(signal.SIGHUP)

    def test_signals_that_come_at_once_are_heard_once(self):
        for hear in (daemon.on_hangup, daemon.outlive_hangup):
            heard = []
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            hear(self, lambda heard=heard: heard.append(len(self.calls)))
            self.hang_up(100)
            self.assertEqual(len(self.calls), 1)
            self.calls.pop()()
            self.assertEqual(len(heard), 1)
            self.hang_up(2)
            self.assertEqual(len(self.calls), 1, "what comes afterwards is heard, too")
            self.calls.pop()()
            self.assertEqual(len(heard), 2)

    def test_a_start_outlives_it(self):
        daemon.outlive_early_hangup()
        self.hang_up(1)
        self.assertEqual(self.calls, [])

    def test_a_start_that_is_to_ignore_it_still_does(self):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        daemon.outlive_early_hangup()
        self.assertEqual(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)

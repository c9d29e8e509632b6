"""What ``ssh POD`` shows at a terminal, until its user leaves."""

import gc
import weakref

from twisted.internet.defer import Deferred

from tests.ssh.greetings import IDLE, LISTING, TRAFFIC, GreetingCase
from tunnelcloud.channels.messages import pack_string
from tunnelcloud.ssh import greeting
from tunnelcloud.ssh.interfaces import TunnelRow, TunnelTraffic


class LiveTests(GreetingCase):
    """The live view."""

    def type(self, text: bytes) -> None:
        self.client.send(b"\x5e\0\0\0\0" + pack_string(text))

    def test_until_ctrl_c(self) -> None:
        """With a terminal the counters are redrawn in place until Ctrl-C."""
        self.terminal()
        self.shell()
        text = (LISTING + TRAFFIC).replace("\n", "\r\n")
        lines = [f"\x1b[K{line}\r\n" for line in IDLE.splitlines()]
        self.assertEqual(self.shown(), text + "".join(lines))
        self.clock.advance(5)
        self.assertEqual(self.shown(), "")
        self.avatar.counts["db"] = TunnelTraffic(2, 1536, 3 << 20)
        self.clock.advance(1)
        lines[0] = "\x1b[Kdb: 2 open, 1.5 KiB sent, 3.0 MiB received\r\n"
        self.assertEqual(self.shown(), "\x1b[2A" + "".join(lines))
        self.type(b"x")
        self.assertEqual(self.client.read(), [])
        self.type(b"\x03")
        self.ended(0)

    def test_without_terminal(self) -> None:
        """Without one, only what changed is written, and no escape sequence."""
        self.shell()
        self.assertEqual(self.shown(), LISTING + TRAFFIC + IDLE)
        self.avatar.counts["web"] = TunnelTraffic(1, 1, 1 << 50)
        self.clock.advance(1)
        self.assertEqual(self.shown(), "web: 1 open, 1 B sent, 1024.0 TiB received\n")
        self.client.send(b"\x60\0\0\0\0")
        self.ended(0)

    def test_what_waits(self) -> None:
        """What the user's channels wait for is said once, above the counters."""
        self.terminal()
        self.avatar.waits = ["db: waits at 1"]
        self.shell()
        self.assertIn("db: waits at 1\r\n\r\nTraffic", self.shown())
        self.clock.advance(1)
        self.assertEqual(self.shown(), "")
        self.avatar.waits = ["db: waits at 1", "web: waits\x1b at 2"]
        self.clock.advance(1)
        lines = ["web: waits\\x1b at 2", *IDLE.splitlines()]
        self.assertEqual(self.shown(), "\x1b[2A" + "".join(f"\x1b[K{line}\r\n" for line in lines))
        self.avatar.waits = []
        self.clock.advance(1)
        self.assertEqual(self.shown(), "")
        self.avatar.waits = ["db: waits at 3"]
        self.clock.advance(1)
        self.assertIn("db: waits at 3", self.shown())

    def test_what_waits_without_terminal(self) -> None:
        """Without a terminal as well."""
        self.shell()
        self.shown()
        self.avatar.waits = ["db: waits at 1"]
        self.clock.advance(1)
        self.assertEqual(self.shown(), "db: waits at 1\n")

    def test_low_terminal(self) -> None:
        """A terminal with too few lines isn't drawn over."""
        self.terminal(height=2)
        self.shell()
        self.assertNotIn("\x1b[", self.shown())

    def test_end_of_input(self) -> None:
        """With no input (a script) the list is shown once."""
        self.client.send(b"\x60\0\0\0\0")
        self.shell()
        self.assertEqual(self.shown(), LISTING)
        self.ended(0)

    def test_leaving(self) -> None:
        """So do the words that leave a shell, and the end of what is typed."""
        for typed in (b"exit\n", b"no\r\n\t exit \r", b"log", b"\x04"):
            self.shell()
            self.shown()
            self.type(typed)
            if typed == b"log":
                self.assertEqual(self.client.read(), [])
                self.type(b"out\r")
            self.ended(0)
            self.setUp()

    def test_what_is_no_word_that_leaves(self) -> None:
        self.shell()
        self.shown()
        for typed in (b"\r" * 30, b"exits\n", b"an exit\n", b"exi\nt\n"):
            self.type(typed)
        self.assertEqual([one for one in self.client.read() if one[0] != 93], [])
        self.type(b"quit\n")
        self.ended(0)

    def test_nothing_to_show(self) -> None:
        """A shell is held open also while there is no tunnel: one may come, or its hours begin."""
        self.avatar.rows = ()
        self.shell()
        self.assertEqual(self.shown(), "You have no tunnels that this login can open.\n" + TRAFFIC)
        self.client.send(b"\x60\0\0\0\0")
        self.ended(0)

    def test_signal(self) -> None:
        """A signal ends it like Ctrl-C."""
        self.shell()
        self.shown()
        self.request(b"signal", pack_string(b"INT"))
        self.ended(0)

    def test_client_leaves(self) -> None:
        """A client that leaves in the middle leaves nothing behind."""
        waiting: Deferred = Deferred()
        self.avatar.tunnels = lambda: waiting
        self.shell()
        self.client.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow_client(self) -> None:
        """A client that takes nothing isn't written to again and again."""
        self.shell()
        self.shown()
        self.client.server.pauseProducing()
        for number in range(1000):
            self.avatar.counts["db"] = TunnelTraffic(number, 0, 0)
            self.clock.advance(1)
            self.client.send(b"\x02\0\0\0\0")
        self.client.server.resumeProducing()
        self.assertLess(len(self.shown()), 100)

    def many(self, count: int) -> None:
        rows = [TunnelRow(f"t{number}", "", "Ready", "ssh", dict) for number in range(count)]
        self.avatar.rows = Rows(rows)
        self.avatar.counts = {"t7": TunnelTraffic(1, 2, 3)}

    def test_many_tunnels(self) -> None:
        """Their counters are written in parts, and then only those that change are looked at."""
        self.many(1000)
        writes = self.count_in_writes("\n")
        self.terminal(height=2**31 - 1)
        self.shell()
        shown = self.read_on(60)
        self.assertEqual(shown.count(" open, "), 1000)
        self.assertIn("t7: 1 open", shown)
        self.assertLessEqual(max(writes), 64)
        self.assertNotIn("\x1b[1000A", shown)
        self.avatar.counts["t9"] = TunnelTraffic(1, 2, 3)
        self.clock.advance(1)
        self.assertEqual(self.shown(), "t9: 1 open, 2 B sent, 3 B received\r\n")

    def test_nothing_of_the_rows_is_kept(self) -> None:
        self.many(10)
        rows = weakref.ref(self.avatar.rows)
        self.shell()
        self.avatar.rows = ()
        gc.collect()
        self.assertIsNone(rows())

    def test_a_client_that_reads_nothing(self) -> None:
        self.patch(greeting, "_READING_SECONDS", 5)
        self.many(200_000)
        rows = weakref.ref(self.avatar.rows)
        self.run_command("ls")
        self.avatar.rows = ()
        self.clock.advance(4)
        gc.collect()
        self.assertIsNotNone(rows())
        self.clock.advance(1)
        gc.collect()
        self.assertIsNone(rows())


class Rows(list[TunnelRow]):
    """A list that can be looked for."""

import threading

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.support import CommandTestCase
from tunnelcloud.cli import output

HEADINGS = ("id", "user", "source", "end reason")
ROWS = [("ses_1", "alice", "192.0.2.1", "x" * 40)]


class ProgressTests(SynchronousTestCase):
    """What takes long shows that it goes on: in a terminal alone."""

    def shown(self, is_terminal):
        echoed, often = [], threading.Event()

        def echo(text, **_):
            echoed.append(text)
            if len(echoed) == 3:
                often.set()

        self.patch(output, "_SECOND", 0.001)
        self.patch(output.click, "echo", echo)
        self.patch(output.sys, "stderr", Terminal(is_terminal))
        with output.progress("applying\x1b a.toml"):
            if is_terminal:
                self.assertTrue(often.wait(60))
        return echoed

    def test_in_a_terminal(self):
        first, second, *_, last = self.shown(True)
        self.assertEqual(first, "\rapplying\\x1b a.toml: 1 s")
        self.assertEqual(second, "\rapplying\\x1b a.toml: 2 s")
        self.assertEqual(last, "\r\x1b[K")

    def test_elsewhere(self):
        self.assertEqual(self.shown(False), [])


class Terminal:
    """Standard error, as far as somebody asks what it is."""

    def __init__(self, is_terminal):
        self.isatty = lambda: is_terminal


class TableTests(SynchronousTestCase):
    """Tables on terminals of some width."""

    def printed(self, width, spare=("source", "end reason")):
        self.patch(output, "terminal_width", lambda: width)
        with CliRunner().isolation() as (out, errors, _):
            output.print_table(HEADINGS, ROWS, spare)
            return out.getvalue().decode().splitlines(), errors.getvalue().decode()

    def test_all_for_a_program(self):
        lines, errors = self.printed(None)
        self.assertEqual(
            (lines[0].split(), errors), (["ID", "USER", "SOURCE", "END", "REASON"], "")
        )

    def test_all_where_there_is_room(self):
        lines, errors = self.printed(65)
        self.assertEqual((len(lines[1]), errors), (65, ""))

    def test_the_last_goes_first(self):
        lines, errors = self.printed(64)
        self.assertEqual(lines, ["ID     USER   SOURCE", "ses_1  alice  192.0.2.1"])
        self.assertEqual(
            errors, "left out, as the terminal is narrow: end reason; --json has all\n"
        )
        lines, errors = self.printed(20)
        self.assertEqual(lines, ["ID     USER", "ses_1  alice"])
        self.assertIn("source, end reason", errors)

    def test_what_has_to_be_there_stays(self):
        lines, _ = self.printed(5)
        self.assertEqual(lines, ["ID     USER", "ses_1  alice"])


class SessionListTests(CommandTestCase):
    def test_80_columns(self):
        alice = self.api.put("users", name="alice", email=None)
        self.api.put(
            "sessions",
            user_id=alice["id"],
            method="token",
            source_ip="2001:db8::1234:5678",
            started_at="2026-03-02T09:00:00Z",
            ended_at="2026-03-02T09:30:00Z",
            bytes_to_target=1234,
            bytes_from_target=123456789,
            end_reason="the client left",
        )
        for width in (80, 170):
            self.patch(output, "terminal_width", lambda width=width: width)
            status, shown, _ = self.run_line("session", "list")
            self.assertEqual(status, 0)
            self.assertLessEqual(max(map(len, shown.splitlines())), width)
            self.assertEqual("END REASON" in shown, width == 170)

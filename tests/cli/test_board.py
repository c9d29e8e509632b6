"""What people and programs see of several tunnels that are kept open."""

import json
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.kept_open import TogetherCase, item
from tunnelcloud.cli import open_tunnels, tunnel_rows


class BoardTests(TogetherCase):
    def lines(self, board):
        self.board = board
        shown = []
        self.patch(tunnel_rows.click, "echo", lambda text="", **_: shown.append(text))
        self.begin()
        self.be_up()
        self.step()
        return shown

    def test_lines(self):
        shown = self.lines(tunnel_rows.Lines())
        self.assertEqual(len(shown), 3)
        self.assertEqual(shown[0], f"db {self.address('db')}:5432 ready")

    def test_lines_for_a_program(self):
        shown = [json.loads(line) for line in self.lines(tunnel_rows.Lines(as_json=True))]
        self.assertEqual(
            shown[0],
            {
                "tunnel": "db",
                "state": "ready",
                "why": "",
                "method": "token",
                "forwards": [
                    {"port": 5432, "local_address": self.address("db"), "local_port": 5432}
                ],
            },
        )

    def test_a_table_is_written_over(self):
        size = SimpleNamespace(columns=80, lines=24)
        self.patch(tunnel_rows.shutil, "get_terminal_size", lambda: size)
        first, second = self.lines(tunnel_rows.Table())
        self.assertIn("connecting", first)
        self.assertTrue(second.startswith("\x1b[5A\r\x1b[J"))
        self.assertIn("Ctrl-C ends it", second)

    def test_a_table_on_a_small_terminal_shows_trouble_first(self):
        size = SimpleNamespace(columns=40, lines=10)
        self.patch(tunnel_rows.shutil, "get_terminal_size", lambda: size)
        self.api.items = [item(n, f"t{n}") for n in range(1, 101)]
        self.api.items[70] |= {"standing": "shut", "state": "Opens\x1b[2J Monday"}
        last = self.lines(tunnel_rows.Table())[-1].split("\x1b[J")[1]
        self.assertLessEqual(len(last.splitlines()), 10)
        self.assertIn("t71", last.splitlines()[1])
        self.assertNotIn("\x1b", last)
        self.assertIn("and 94 more, 94 of them ready", last)


class DescriptorTests(SynchronousTestCase):
    def test_as_many_as_the_system_gives(self):
        limits = []
        self.patch(open_tunnels.resource, "getrlimit", lambda which: (1024, 4096))
        self.patch(open_tunnels.resource, "setrlimit", lambda which, pair: limits.append(pair))
        open_tunnels._allow_descriptors(3200)
        open_tunnels._allow_descriptors(10)
        self.assertEqual(limits, [(4096, 4096)])

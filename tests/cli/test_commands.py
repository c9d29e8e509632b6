"""Commands are loaded when they are asked for; the list of them loads none."""

import subprocess
import sys

import click
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import ENVIRONMENT, PATIENCE
from tunnelcloud.cli.commands import COMMANDS
from tunnelcloud.cli.parameters import ON_THIS_CLOCK, time

LIST_MODULES = """
import atexit, sys
atexit.register(lambda: print(*sorted(m for m in sys.modules if m.startswith(
    ("tunnelcloud.", "httpx", "attr", "ssl", "pydantic", "cryptography", "twisted")))))
from tunnelcloud.cli import main
main()
"""


def options_of(command):
    """Give the options of a command, and of those in it, each with the command's name."""
    for one in getattr(command, "commands", {}).values():
        yield from options_of(one)
    for option in command.params:
        if isinstance(option, click.Option):
            yield command.name, option


class CommandTests(SynchronousTestCase):
    def test_each_line_of_help_is_the_commands_own(self):
        for name, place in COMMANDS.items():
            command = place.load()
            self.assertEqual(command.get_short_help_str(200), place.help, name)

    def test_options_that_take_a_time_say_by_which_clock(self):
        found = 0
        for place in COMMANDS.values():
            for name, option in options_of(place.load()):
                if getattr(option.type, "func", None) is time:
                    self.assertIn(ON_THIS_CLOCK, option.help, f"{name} {option.opts}")
                    found += 1
        self.assertGreater(found, 5)

    def test_version_and_help_load_no_command(self):
        for option in ("--version", "--help", "--nonsense"):
            done = subprocess.run(
                [sys.executable, "-c", LIST_MODULES, option],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                env=ENVIRONMENT,
                check=False,
            )
            loaded = done.stdout.splitlines()[-1].split()
            self.assertEqual(
                loaded, ["tunnelcloud.cli", "tunnelcloud.cli.command", "tunnelcloud.cli.commands"]
            )

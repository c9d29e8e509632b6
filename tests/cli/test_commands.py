"""Commands are loaded when they are asked for; the list of them loads none."""

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import ENVIRONMENT, PATIENCE
from tunnelcloud.cli.commands import COMMANDS

LIST_MODULES = """
import atexit, sys
atexit.register(lambda: print(*sorted(m for m in sys.modules if m.startswith(
    ("tunnelcloud.", "httpx", "attr", "ssl", "pydantic", "cryptography", "twisted")))))
from tunnelcloud.cli import main
main()
"""


class CommandTests(SynchronousTestCase):
    def test_each_line_of_help_is_the_commands_own(self):
        for name, place in COMMANDS.items():
            command = place.load()
            self.assertEqual(command.get_short_help_str(200), place.help, name)

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

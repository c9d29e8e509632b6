"""The command in a child that was forked is what it is when it is started from nothing."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

from twisted.trial.unittest import SynchronousTestCase

from tests.integration import prepared_command
from tests.integration.processes import ENVIRONMENT, PATIENCE, PYTHON


class PreparedCommandTests(SynchronousTestCase):
    def check(self, *words, **environment):
        """Run it in both ways; give its exit status."""
        whole = {**ENVIRONMENT, **environment}
        program = [PYTHON, "-c", "from tunnelcloud.cli import main; main()", *words]
        done = subprocess.run(
            program, env=whole, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        status, output, errors = prepared_command.run(words, whole, PATIENCE)
        self.assertEqual((status, output, errors), (done.returncode, done.stdout, done.stderr))
        return status

    def test_help(self):
        self.assertEqual(self.check("user", "--help"), 0)
        self.assertEqual(self.check("user", "--help", COLUMNS="40"), 0)

    def test_what_is_not_there(self):
        self.assertEqual(self.check("nothing"), 2)

    def test_nobody_answers(self):
        self.check("user", "list", TUNNELCLOUD_URL="http://127.0.0.1:1", TUNNELCLOUD_API_TOKEN="a")

    def test_its_environment_is_its_own(self):
        before = dict(os.environ)
        self.check("user", "list", TUNNELCLOUD_URL="nonsense")
        self.assertEqual(dict(os.environ), before)
        self.check("user", "--help")

    def test_several_at_once(self):
        with ThreadPoolExecutor(4) as pool:
            runs = [
                pool.submit(prepared_command.run, ["--version"], ENVIRONMENT, PATIENCE)
                for _ in range(8)
            ]
        self.assertEqual([run.result()[0] for run in runs], [0] * 8)

"""Runs commands as a shell would, against the API of `fake`."""

import json

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.fake import TOKEN, FakeApi
from tunnelcloud.cli import main


class CommandTestCase(SynchronousTestCase):
    def setUp(self):
        self.api = FakeApi()
        self.api.__enter__()
        self.addCleanup(self.api.__exit__)

    def run_line(self, *arguments, env=None, typed=None):
        """Run one command line; give exit status, standard output and standard error."""
        values = {"TUNNELCLOUD_URL": self.api.url, "TUNNELCLOUD_API_TOKEN": TOKEN, "TZ": "UTC"}
        result = CliRunner().invoke(
            main, arguments, input=typed, env={**values, **(env or {})}, prog_name="tunnelcloud"
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    def succeed(self, *arguments):
        """Run one that must work, and give what it prints."""
        status, output, errors = self.run_line(*arguments)
        self.assertEqual((status, errors), (0, ""))
        return output

    def succeed_json(self, *arguments):
        """Run one that must work, with ``--json`` at its end, and give the value."""
        return json.loads(self.succeed(*arguments, "--json"))

    def fail_line(self, *arguments, status=1, **options):
        """Run one that must fail, and give its last line on standard error."""
        found, output, errors = self.run_line(*arguments, **options)
        self.assertEqual((found, output), (status, ""))
        self.assertNotIn("Traceback", errors)
        return errors.splitlines()[-1]

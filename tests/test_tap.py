"""What twistd runs says where it doesn't run."""

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud import tap
from tunnelcloud.tap import Options, makeService


class WindowsTests(SynchronousTestCase):
    def test_nothing_is_started(self):
        self.patch(tap.platform, "system", lambda: "Windows")
        options = Options()
        options.parseOptions(["connector", "--state", "/nonexistent"])
        error = self.assertRaises(SystemExit, makeService, options)
        self.assertIn("run the connector on any Linux machine", str(error))

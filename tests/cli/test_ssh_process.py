"""What ssh is run with, and what is said when it ends at once; ssh itself isn't started."""

from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.cli import ssh_process
from tunnelcloud.cli.client import Failed


class EndedProcess:
    pid = 1
    stderr = None

    def poll(self):
        return 255


class FailureTests(SynchronousTestCase):
    def setUp(self):
        self.words = None
        guard = SimpleNamespace(watch=lambda pid: None, dismiss=lambda: None)
        self.patch(ssh_process, "Guard", lambda directory: guard)
        self.patch(ssh_process, "_against_own_settings", lambda command: [])
        self.patch(ssh_process.shutil, "which", lambda name: f"/usr/bin/{name}")
        self.patch(ssh_process, "subprocess", SimpleNamespace(Popen=self.start, DEVNULL=-3))

    def start(self, words, **_):
        self.words = words
        return EndedProcess()

    def told(self, token):
        process = ssh_process.SshProcess(["ssh", "-N", "alice@pod"], [], token)
        try:
            return str(self.assertRaises(Failed, process.wait_until_ready))
        finally:
            process.end()

    def test_a_key(self):
        """ssh asks for nothing else: it would answer six empty prompts by itself."""
        told = self.told(None)
        self.assertIn("PreferredAuthentications=publickey", self.words)
        self.assertIn("--key-file FILE, or use --method token", told)

    def test_a_token(self):
        told = self.told("a" * 26)
        self.assertIn("PreferredAuthentications=password", self.words)
        self.assertIn("The portal's Sessions page shows what was refused", told)
        self.assertNotIn("me sessions", told)

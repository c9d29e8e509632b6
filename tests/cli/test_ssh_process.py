"""What ssh is run with, and what is said when it ends at once; ssh itself isn't started."""

import subprocess
from pathlib import Path
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


class SlowTests(SynchronousTestCase):
    """An ssh that answers nothing ends no other tunnel: it is a failure like any."""

    def setUp(self):
        def run(words, **more):
            raise subprocess.TimeoutExpired(words, more["timeout"])

        self.patch(ssh_process.subprocess, "run", run)

    def test_a_port_that_comes(self):
        process = ssh_process.SshProcess.__new__(ssh_process.SshProcess)
        process._program, process._directory = "/usr/bin/ssh", Path("/nowhere")
        told = str(self.assertRaises(Failed, process.forward, "127.64.0.1:1:db:1"))
        self.assertEqual(told, "ssh could not forward 127.64.0.1:1:db:1 within 30 seconds")

    def test_settings(self):
        told = str(self.assertRaises(Failed, ssh_process._against_own_settings, ["ssh", "pod"]))
        self.assertIn("ssh could not show its settings", told)

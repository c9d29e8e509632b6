"""A database that other users of the machine can read isn't opened."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import StateUnusable
from tunnelcloud.store.sqlite_files import FILE_NAME


class ExposedTests(SynchronousTestCase):
    def setUp(self):
        self.state = Path(self.mktemp())
        open_store("sqlite", self.state).close()

    def test_each_of_its_files(self):
        for end in ("", "-wal", "-shm"):
            path = self.state / (FILE_NAME + end)
            path.touch()
            for mode in (0o644, 0o620, 0o601):
                path.chmod(mode)
                error = self.assertRaises(StateUnusable, open_store, "sqlite", self.state)
                self.assertIn(f"run `chmod 600 {path}`", str(error))
            path.chmod(0o600)
            if end:
                path.unlink()
        open_store("sqlite", self.state).close()

    def test_whatever_the_umask(self):
        umask = os.umask(0)
        self.addCleanup(os.umask, umask)
        state = Path(self.mktemp())
        open_store("sqlite", state).close()
        for path in state.iterdir():
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

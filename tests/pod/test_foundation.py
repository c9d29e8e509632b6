"""What pods of one database share, and what they have to be given alike."""

import shutil
from pathlib import Path

from twisted.logger import globalLogPublisher

from tests.store.databases import PostgresCase, SQLiteCase
from tunnelcloud.daemon import CannotServe
from tunnelcloud.pki import SEALING_KEY_FILE
from tunnelcloud.pod import foundation as foundation_module
from tunnelcloud.pod.foundation import lay_foundation
from tunnelcloud.settings import PodSettings


class SealingKeyTests(PostgresCase):
    def setUp(self):
        super().setUp()
        self.logged = []
        globalLogPublisher.addObserver(self.logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.logged.append)

    def start(self, name, sealing_key=None):
        directory = Path(self.mktemp())
        directory.mkdir()
        if sealing_key is not None:
            shutil.copy(sealing_key, directory)
        settings = PodSettings.model_validate(
            {"name": name, "state_directory": directory, "database": {"url": self.url}}
        )
        foundation = lay_foundation(settings, lambda _: 2222, "127.0.0.1")
        self.addCleanup(foundation.store.close)
        return foundation.sealer, directory / SEALING_KEY_FILE

    def warnings(self):
        return [one for one in self.logged if SEALING_KEY_FILE in one.get("file", "")]

    def test_a_pod_with_another_key_says_so(self):
        first, key = self.start("pod-1")
        self.assertEqual(self.warnings(), [])
        second, _ = self.start("pod-2")
        self.assertEqual(len(self.warnings()), 1)
        self.assertNotEqual(first.mark, second.mark)
        third, _ = self.start("pod-3", key)
        self.assertEqual(len(self.warnings()), 1)
        self.assertEqual(third.open(first.seal(b"x", "y"), "y"), b"x")


class SecretFilesTests(SQLiteCase):
    """What a pod writes into its directory only its user can read; a secret that is open to others
    stops the start."""

    def lay(self):
        # A process gives its home up when it ends.
        self.patch(foundation_module, "take_home", lambda directory: "home")
        settings = PodSettings.model_validate({"state_directory": self.directory})
        return lay_foundation(settings, lambda _: 2222, "127.0.0.1")

    def test_every_file(self):
        foundation = self.lay()
        files = sorted(one for one in self.directory.rglob("*") if one.is_file())
        self.assertGreaterEqual(len(files), 6)
        for file in files:
            self.assertEqual(file.stat().st_mode & 0o077, 0, file.name)
        foundation.store.close()
        refused = set()
        kept = [one for one in files if not one.name.endswith(("-wal", "-shm"))]
        for file in kept:
            file.chmod(0o644)
            try:
                self.lay().store.close()
            except CannotServe as error:
                self.assertIn(f"chmod 600 {file}", str(error))
                refused.add(file.name)
            file.chmod(0o600)
        self.assertEqual({one.name for one in kept} - refused, {"tunnelcloud.lock"})

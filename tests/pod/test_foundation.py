"""What pods of one database share, and what they have to be given alike."""

import shutil
from pathlib import Path

from twisted.logger import globalLogPublisher

from tests.store.databases import PostgresCase
from tunnelcloud.pki import SEALING_KEY_FILE
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

"""What pods of one database share, and what they have to be given alike."""

import shutil
from pathlib import Path

from sqlalchemy import select

from tests.store.databases import PostgresCase, SQLiteCase
from tunnelcloud import __version__
from tunnelcloud.daemon import CannotServe
from tunnelcloud.pki.sealing import SEALING_KEY_FILE, CannotUnseal, make_sealer_file
from tunnelcloud.pod import preparation, shared_secrets
from tunnelcloud.pod.preparation import lay_foundation
from tunnelcloud.settings import PodSettings
from tunnelcloud.store import stored_secrets
from tunnelcloud.store.schema import authority as table


class SealingKeyTests(PostgresCase):
    def start(self, name, sealing_key=None, **database):
        directory = Path(self.mktemp())
        directory.mkdir()
        if sealing_key is not None:
            shutil.copy(sealing_key, directory)
        settings = PodSettings.model_validate(
            {"name": name, "state_directory": directory, "database": {"url": self.url, **database}}
        )
        foundation = lay_foundation(settings, lambda _: 2222, "127.0.0.1")
        self.addCleanup(foundation.store.close)
        return foundation, (directory / SEALING_KEY_FILE).absolute()

    def blobs(self, store):
        def read(transaction):
            query = select(table.c.name, table.c.content)
            return {row.name: row.content for row in transaction.connection.execute(query)}

        return store.read(read)

    def unseal(self, foundation):
        """Leave the secrets as earlier versions kept them."""
        clear = {"authority": foundation.authority.to_pem()}
        for key in foundation.host_keys:
            clear[f"host key {key.algorithm}"] = key.private_key
        for name, content in clear.items():
            foundation.store.write(stored_secrets.replace, name, content)

    def test_the_database_has_no_secret_in_clear(self):
        foundation, _ = self.start("pod-1")
        blobs = self.blobs(foundation.store)
        self.assertEqual(len(blobs), 5)
        for content in blobs.values():
            self.assertNotIn(b"PRIVATE", content)

    def test_a_second_pod_needs_the_key_and_nothing_else(self):
        first, key = self.start("pod-1")
        second, _ = self.start("pod-2", key)
        third, no_key = self.start("pod-3", sealing_key_file=key)
        self.assertFalse(no_key.exists())
        for other in (second, third):
            self.assertEqual(other.authority.pin, first.authority.pin)
            self.assertEqual(other.host_keys, first.host_keys)
            self.assertEqual(other.sealer.open(first.sealer.seal(b"x", "y"), "y"), b"x")
            self.assertEqual(other.secrets.fault, "")
        found = {one.name for one in no_key.parent.iterdir()}
        self.assertFalse({one for one in found if "authority" in one or "ssh_host" in one}, found)

    def test_without_the_key_no_pod_starts(self):
        self.start("pod-1")
        error = self.assertRaises(CannotServe, self.start, "pod-2")
        self.assertRegex(str(error), "the sealing key is missing: copy sealing.key of another pod")

    def test_a_file_that_is_named_is_not_made(self):
        nowhere = Path(self.mktemp()).absolute()
        error = self.assertRaises(CannotServe, self.start, "pod-1", sealing_key_file=nowhere)
        self.assertIn(f"head -c 32 /dev/urandom > {nowhere}", str(error))

    def wrong_key(self):
        wrong = Path(self.mktemp())
        wrong.mkdir()
        make_sealer_file(wrong / SEALING_KEY_FILE)
        return wrong / SEALING_KEY_FILE

    def test_with_another_key_no_pod_starts(self):
        self.start("pod-1")
        error = self.assertRaises(CannotServe, self.start, "pod-2", self.wrong_key())
        self.assertIn("doesn't open the secrets of this database", str(error))

    def test_another_key_where_an_earlier_version_sealed_nothing(self):
        first, _ = self.start("pod-1")
        self.unseal(first)
        second, _ = self.start("pod-2", self.wrong_key())
        self.assertEqual(second.authority.pin, first.authority.pin)
        self.assertIn("another sealing key", second.secrets.fault)
        self.assertRaises(CannotUnseal, second.sealer.seal_for_all, b"x", "y")
        self.assertIn(b"PRIVATE", self.blobs(first.store)["authority"])

    def test_what_an_earlier_version_kept_is_sealed(self):
        first, key = self.start("pod-1")
        self.unseal(first)
        self.patch(shared_secrets, "__version__", "999")
        self.start("pod-2", key)
        self.assertIn(b"PRIVATE", self.blobs(first.store)["authority"], "pod-1 couldn't read it")
        self.patch(shared_secrets, "__version__", __version__)
        third, _ = self.start("pod-3", key)
        self.assertEqual(third.authority.pin, first.authority.pin)
        for content in self.blobs(first.store).values():
            self.assertNotIn(b"PRIVATE", content)


class SecretFilesTests(SQLiteCase):
    """What a pod writes into its directory only its user can read; a secret that is open to others
    stops the start."""

    def lay(self):
        # A process gives its home up when it ends.
        self.patch(preparation, "take_home", lambda directory: "home")
        settings = PodSettings.model_validate({"state_directory": self.directory})
        return lay_foundation(settings, lambda _: 2222, "127.0.0.1")

    def test_a_directory_that_is_none(self):
        self.directory = Path(self.mktemp())
        self.directory.write_text("")
        said = str(self.assertRaises(CannotServe, self.lay))
        self.assertIn("can't be used as state_directory: File exists; name a directory", said)
        self.assertNotIn("Errno", said)

    def test_every_file(self):
        foundation = self.lay()
        files = sorted(one for one in self.directory.rglob("*") if one.is_file())
        self.assertGreaterEqual(len(files), 5)
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

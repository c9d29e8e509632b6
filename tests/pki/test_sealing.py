"""Secrets sealed by a key of the state directory."""

import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pki.sealing import (
    SEALING_KEY_FILE,
    BadSealingKey,
    CannotUnseal,
    load_sealer,
    make_sealer_file,
    passing_sealer,
)
from tunnelcloud.private_files import ExposedPrivateFile


class SealingTests(SynchronousTestCase):
    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / SEALING_KEY_FILE

    def test_what_was_sealed_opens_after_a_restart(self):
        make_sealer_file(self.path)
        sealed = load_sealer(self.path).seal(b"canary", "of alice")
        self.assertNotIn(b"canary", sealed)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(load_sealer(self.path).open(sealed, "of alice"), b"canary")

    def test_it_opens_for_nothing_else(self):
        sealer = passing_sealer()
        sealed = sealer.seal(b"canary", "of alice")
        self.assertNotEqual(sealed, sealer.seal(b"canary", "of alice"))
        self.assertRaises(CannotUnseal, sealer.open, sealed, "of bob")
        self.assertRaises(CannotUnseal, passing_sealer().open, sealed, "of alice")
        for damaged in [b"", sealed[:10], sealed[:-1], sealed[:-1] + b"x"]:
            self.assertRaises(CannotUnseal, sealer.open, damaged, "of alice")

    def test_a_file_that_is_no_key(self):
        self.path.write_bytes(b"short")
        self.path.chmod(0o600)
        self.assertRaises(BadSealingKey, load_sealer, self.path)
        self.path.chmod(0o644)
        self.assertRaises(ExposedPrivateFile, load_sealer, self.path)

    def test_a_credential_has_a_mode_of_its_own(self):
        make_sealer_file(self.path)
        self.path.chmod(0o440)
        self.assertRaises(ExposedPrivateFile, load_sealer, self.path, {})
        load_sealer(self.path, {"CREDENTIALS_DIRECTORY": str(self.directory)})

"""Files of new keys, read by the programs that they are for."""

import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.requirements import require_executable
from tunnelcloud.pki.key_files import KeyFormat, make_key_file
from tunnelcloud.pki.public_keys import read_public_key

PASSPHRASE = "correct horse and Batterie"


class KeyFileTests(SynchronousTestCase):
    def kept(self, made):
        path = Path(self.mktemp())
        path.write_text(made.content)
        path.chmod(0o600)
        return path

    def test_the_public_line_is_what_is_registered(self):
        made = make_key_file(KeyFormat.OPENSSH)
        self.assertEqual(read_public_key(made.public_key), made.public_key)
        self.assertNotIn(made.content, repr(made))

    def test_openssh_reads_its_own(self):
        for passphrase in ("", PASSPHRASE):
            made = make_key_file(KeyFormat.OPENSSH, passphrase)
            command = [
                require_executable("ssh-keygen"),
                "-y",
                "-P",
                passphrase,
                "-f",
                self.kept(made),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            self.assertEqual(done.stdout.split()[:2], made.public_key.split())
        wrong = subprocess.run([*command[:3], "wrong", *command[4:]], capture_output=True)
        self.assertNotEqual(wrong.returncode, 0)

    def test_putty_reads_its_own(self):
        for passphrase in ("", PASSPHRASE):
            made = make_key_file(KeyFormat.PUTTY, passphrase)
            file, typed = self.kept(made), Path(self.mktemp())
            typed.write_text(passphrase)
            puttygen, out = require_executable("puttygen"), Path(self.mktemp())
            command = [puttygen, file, "--old-passphrase", typed, "-O", "private-openssh-new"]
            subprocess.run(
                [*command, "--new-passphrase", "/dev/null", "-o", out],
                capture_output=True,
                check=True,
            )
            done = subprocess.run(
                [puttygen, "-L", file], capture_output=True, text=True, check=True
            )
            self.assertEqual(done.stdout.split()[:2], made.public_key.split())
            out.chmod(0o600)
            done = subprocess.run(
                ["ssh-keygen", "-y", "-f", out], capture_output=True, text=True, check=True
            )
            self.assertEqual(done.stdout.split()[:2], made.public_key.split())

    def test_a_putty_file_keeps_to_its_description(self):
        plain = make_key_file(KeyFormat.PUTTY).content.splitlines()
        self.assertEqual(plain[:2], ["PuTTY-User-Key-File-3: ssh-ed25519", "Encryption: none"])
        sealed = make_key_file(KeyFormat.PUTTY, "x").content
        self.assertIn("\nEncryption: aes256-cbc\n", sealed)
        self.assertIn("\nKey-Derivation: Argon2id\n", sealed)
        self.assertLess(max(map(len, sealed.splitlines())), 80)

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.conch.ssh.keys import Key
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pki.host_keys import (
    ALGORITHMS,
    BadHostKey,
    HostKey,
    known_hosts_line,
    load_or_make_host_key,
)
from tunnelcloud.private_files import write_atomically

KEY = b"""-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACC5E5FzOyN9jsW2vsTHfPm+b3HuUVqz9V68cM4P+RiMrwAAAIhcPoKEXD6C
hAAAAAtzc2gtZWQyNTUxOQAAACC5E5FzOyN9jsW2vsTHfPm+b3HuUVqz9V68cM4P+RiMrw
AAAED5XMTfEoURdfvK0KDNdiUAfLm49HlH7N6uc10JJUszGrkTkXM7I32Oxba+xMd8+b5v
ce5RWrP1Xrxwzg/5GIyvAAAAAAECAwQF
-----END OPENSSH PRIVATE KEY-----
"""
FINGERPRINT = "hJZcOjVVi4vr+Niuezpzbxg4Tfb5cVv1CtwrH6CdgG0"


class HostKeyTests(SynchronousTestCase):
    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def load(self):
        return tuple(load_or_make_host_key(self.directory, name) for name in ALGORITHMS)

    def test_conch_takes_them(self):
        keys = self.load()
        self.assertEqual(
            [key.algorithm for key in keys], ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"]
        )
        for key in keys:
            theirs = Key.fromString(key.private_key)
            self.assertEqual(theirs.public().toString("OPENSSH").decode(), key.public_key)
            self.assertEqual(theirs.sshType().decode(), key.algorithm)
        self.assertEqual(Key.fromString(keys[1].private_key).size(), 3072)
        self.assertEqual(list(self.directory.iterdir()), [])
        for key in keys:
            name = key.algorithm.removeprefix("ssh-").split("-")[0]
            write_atomically(self.directory / f"ssh_host_{name}_key", key.private_key)
        self.assertEqual(self.load(), keys)

    def test_fingerprint_is_what_openssh_prints(self):
        key = HostKey.from_openssh(KEY)
        self.assertEqual(key.fingerprint, "SHA256:" + FINGERPRINT)
        self.assertNotIn("PRIVATE", repr(key))

    def test_known_hosts_lines(self):
        self.assertEqual(known_hosts_line("pod.example", 22, "ssh-x K"), "pod.example ssh-x K")
        self.assertEqual(
            known_hosts_line("pod.example", 2222, "ssh-x K"), "[pod.example]:2222 ssh-x K"
        )

    def test_what_is_no_host_key_is_refused_by_its_path(self):
        path = self.directory / "ssh_host_ed25519_key"
        write_atomically(path, b"nonsense")
        with self.assertRaises(BadHostKey) as caught:
            self.load()
        self.assertIn(str(path), str(caught.exception))

    def test_other_types_are_refused(self):
        ecdsa = ec.generate_private_key(ec.SECP384R1()).private_bytes(
            Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
        )
        with self.assertRaises(BadHostKey):
            HostKey.from_openssh(ecdsa)
        with self.assertRaises(ValueError):
            HostKey.create("ssh-dss")

"""A host key signs and shows itself as Conch's own does."""

from collections.abc import Callable
from time import thread_time

from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from twisted.conch.ssh.keys import Key
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.fakes import HOST_KEY, RSA_HOST_KEY
from tunnelcloud.pki.host_keys import HostKey
from tunnelcloud.ssh.host_keys import ServingKey


class ServingKeyTests(SynchronousTestCase):
    def test_as_conch_s_own(self) -> None:
        for plain in (HOST_KEY, RSA_HOST_KEY):
            key = ServingKey.read(plain.toString("OPENSSH", subtype="v1"))
            for _ in range(2):
                self.assertEqual(key.type(), plain.type())
                self.assertEqual(key.sshType(), plain.sshType())
                self.assertEqual(key.blob(), plain.blob())
            self.assertEqual(key.public().blob(), plain.public().blob())
            self.assertIsInstance(key.public(), ServingKey)
            signature = key.sign(b"hash")
            self.assertTrue(Key.fromString(plain.public().blob()).verify(signature, b"hash"))

    def test_no_other_thread_waits_while_an_rsa_key_is_read(self) -> None:
        """The reactor's thread reads new ones; OpenSSL's look at their numbers takes 0.15 s."""
        key = HostKey.create("ssh-rsa").private_key
        checked = min(_taken(lambda one: load_ssh_private_key(one, None), key) for _ in range(3))
        for read in (ServingKey.read, HostKey.from_openssh):
            self.assertLess(min(_taken(read, key) for _ in range(3)), checked / 5)


def _taken(read: Callable[[bytes], object], key: bytes) -> float:
    begun = thread_time()
    read(key)
    return thread_time() - begun

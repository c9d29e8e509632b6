"""A host key signs and shows itself as Conch's own does."""

from twisted.conch.ssh.keys import Key
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.fakes import HOST_KEY, RSA_HOST_KEY
from tunnelcloud.ssh.host_keys import ServingKey


class ServingKeyTests(SynchronousTestCase):
    def test_as_conch_s_own(self) -> None:
        for plain in (HOST_KEY, RSA_HOST_KEY):
            key = ServingKey.read(plain.toString("OPENSSH"))
            for _ in range(2):
                self.assertEqual(key.type(), plain.type())
                self.assertEqual(key.sshType(), plain.sshType())
                self.assertEqual(key.blob(), plain.blob())
            self.assertEqual(key.public().blob(), plain.public().blob())
            self.assertIsInstance(key.public(), ServingKey)
            signature = key.sign(b"hash")
            self.assertTrue(Key.fromString(plain.public().blob()).verify(signature, b"hash"))

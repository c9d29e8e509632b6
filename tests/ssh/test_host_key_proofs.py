"""Host keys that a client learns: told after the login, proven once, kept by each connection."""

from twisted.conch.ssh.keys import Key
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import Client
from tests.ssh.fakes import ECDSA_HOST_KEY, HOST_KEY, RSA_HOST_KEY, Pod
from tunnelcloud.channels.messages import Reader, pack_string
from tunnelcloud.pki.host_keys import HostKey
from tunnelcloud.ssh.host_key_proofs import prove
from tunnelcloud.ssh.host_keys import HostKeySet, ServingKey
from tunnelcloud.ssh.limits import Limits

CURRENT = [HOST_KEY, RSA_HOST_KEY, ECDSA_HOST_KEY]
NEW = ServingKey.read(HostKey.create("ssh-ed25519").private_key)
SESSION = b"session"


def strings(data: bytes) -> list[bytes]:
    """Take a message apart that holds strings alone."""
    found, left = [], data
    while left:
        reader = Reader(left)
        found.append(reader.string())
        left = reader.rest()
    return found


class ProofTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.keys = HostKeySet.of(CURRENT, [NEW])

    def ask(self, *blobs: bytes, agreed: bytes = b"ssh-ed25519") -> bytes | None:
        return prove(b"".join(map(pack_string, blobs)), self.keys, SESSION, agreed)

    def test_each_key_signs_what_the_client_can_check(self) -> None:
        for agreed, algorithm in (
            (b"ssh-ed25519", b"rsa-sha2-512"),
            (b"rsa-sha2-256", b"rsa-sha2-256"),
        ):
            keys = [*CURRENT, NEW]
            proof = self.ask(*(key.blob() for key in keys), agreed=agreed)
            assert proof is not None
            for key, signature in zip(keys, strings(proof), strict=True):
                signed = (
                    pack_string(b"hostkeys-prove-00@openssh.com")
                    + pack_string(SESSION)
                    + pack_string(key.blob())
                )
                public = Key.fromString(key.public().blob())
                self.assertTrue(public.verify(signature, signed))
                if key is RSA_HOST_KEY:
                    self.assertEqual(strings(signature)[0], algorithm)

    def test_what_is_not_proven(self) -> None:
        stranger = ServingKey.read(HostKey.create("ssh-ed25519").private_key).blob()
        self.assertIsNone(self.ask(NEW.blob(), stranger))
        self.assertIsNone(self.ask(NEW.blob(), NEW.blob()))
        self.assertIsNone(self.ask())
        self.assertIsNone(prove(b"\0\0\0\xff", self.keys, SESSION, b"ssh-ed25519"))


class SessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pod = Pod(self.clock, Limits())
        self.pod.factory.use_host_keys(CURRENT, [NEW])

    def login(self, version: bytes) -> Client:
        client = Client(self.pod, clock=self.clock)
        client.identify(version).send_kexinit()
        client.take_kexinit()
        client.send_kex().expect(21)
        client.write(client.newkeys())
        client.request_login()
        client.send_key().expect(52)
        return client

    def prove(self, client: Client, *keys: Key) -> None:
        data = b"".join(pack_string(key.blob()) for key in keys)
        client.send(b"\x50" + pack_string(b"hostkeys-prove-00@openssh.com") + b"\1" + data)

    def test_openssh_is_told_all_and_given_one_proof(self) -> None:
        client = self.login(b"SSH-2.0-OpenSSH_9.2p1")
        reader = Reader(client.expect(80))
        self.assertEqual(reader.string(), b"hostkeys-00@openssh.com")
        self.assertFalse(reader.boolean(), "no reply is wanted")
        self.assertEqual(strings(reader.rest()), [key.blob() for key in [*CURRENT, NEW]])
        self.prove(client, NEW)
        [signature] = strings(client.expect(81))
        self.assertEqual(strings(signature)[0], b"ssh-ed25519")
        self.prove(client, NEW)
        self.assertEqual(client.expect(82), b"")

    def test_others_are_told_nothing(self) -> None:
        self.assertEqual(self.login(b"SSH-2.0-PuTTY_Release_0.78").read(), [])

    def test_a_connection_keeps_the_keys_that_it_began_with(self) -> None:
        client = self.login(b"SSH-2.0-test")
        before = client.host_key
        self.pod.factory.use_host_keys([NEW, RSA_HOST_KEY, ECDSA_HOST_KEY])
        self.assertEqual(before, HOST_KEY.blob())
        public, private = client.server._getHostKeys(b"ssh-ed25519")
        self.assertEqual((public.blob(), private.blob()), (before, before))
        self.assertEqual(self.login(b"SSH-2.0-test").host_key, NEW.blob())

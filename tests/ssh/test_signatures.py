"""Users' signatures: every algorithm, and what must not pass for it."""

import hashlib
import struct

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.conch.ssh.common import MP
from twisted.conch.ssh.keys import Key
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.channels.messages import pack_string
from tunnelcloud.ssh.signatures import is_usable, signed_data, verify

DATA = signed_data(bytes(32), b"alice", b"algorithm", b"blob")
ED25519 = Key(ed25519.Ed25519PrivateKey.generate())
RSA = Key(rsa.generate_private_key(public_exponent=65537, key_size=2048))
CURVES = {
    b"ecdsa-sha2-nistp256": Key(ec.generate_private_key(ec.SECP256R1())),
    b"ecdsa-sha2-nistp384": Key(ec.generate_private_key(ec.SECP384R1())),
    b"ecdsa-sha2-nistp521": Key(ec.generate_private_key(ec.SECP521R1())),
}
SK_ED25519, SK_ECDSA = b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"
APPLICATION = b"ssh:"


class SecurityKey:
    """A FIDO authenticator in software."""

    def __init__(self, algorithm: bytes, application: bytes = APPLICATION) -> None:
        self.algorithm = algorithm
        self.application = application
        if algorithm == SK_ED25519:
            self.private = ed25519.Ed25519PrivateKey.generate()
            public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            fields = (algorithm, public, application)
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())
            point = self.private.public_key().public_bytes(
                Encoding.X962, PublicFormat.UncompressedPoint
            )
            fields = (algorithm, b"nistp256", point, application)
        self.blob = b"".join(map(pack_string, fields))

    def sign(self, data: bytes, flags: int = 1, signed_flags: int | None = None) -> bytes:
        """Sign with these flags; with ``signed_flags``, lie about them."""
        told = struct.pack(">BI", flags, 7)
        signed = struct.pack(">BI", flags if signed_flags is None else signed_flags, 7)
        message = hashlib.sha256(self.application).digest() + signed
        message += hashlib.sha256(data).digest()
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            inner = self.private.sign(message)
        else:
            r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(SHA256())))
            inner = MP(r) + MP(s)
        return pack_string(self.algorithm) + pack_string(inner) + told


class AlgorithmTests(SynchronousTestCase):
    """What is good is good, for its own algorithm only."""

    def test_good(self) -> None:
        """Every kind of key can sign."""
        for algorithm, key in (
            (b"ssh-ed25519", ED25519),
            (b"rsa-sha2-256", RSA),
            (b"rsa-sha2-512", RSA),
            *CURVES.items(),
        ):
            signature = key.sign(DATA, signatureType=algorithm)
            self.assertTrue(verify(algorithm, key.blob(), signature, DATA))
            self.assertFalse(verify(algorithm, key.blob(), signature, DATA + b"x"))

    def test_algorithm_is_type(self) -> None:
        """A signature made with another algorithm than the request names isn't good."""
        for made, named in (
            (b"ssh-rsa", b"rsa-sha2-512"),
            (b"ssh-rsa", b"ssh-rsa"),
            (b"rsa-sha2-256", b"rsa-sha2-512"),
            (b"rsa-sha2-512", b"rsa-sha2-256"),
        ):
            signature = RSA.sign(DATA, signatureType=made)
            self.assertFalse(verify(named, RSA.blob(), signature, DATA))
            relabelled = pack_string(named) + signature[4 + len(made) :]
            self.assertFalse(verify(named, RSA.blob(), relabelled, DATA))

    def test_short_rsa(self) -> None:
        """RSA signatures without their leading zeros, as some clients send them, are good."""
        for number in range(3000):
            data = DATA + b"%d" % number
            signature = RSA.sign(data, signatureType=b"rsa-sha2-256")
            inner = signature[-256:]
            if inner[0] == 0:
                break
        else:
            self.fail("no signature began with zero")
        short = pack_string(b"rsa-sha2-256") + pack_string(inner.lstrip(b"\0"))
        self.assertTrue(verify(b"rsa-sha2-256", RSA.blob(), short, data))

    def test_usable(self) -> None:
        """An algorithm goes with its type of key."""
        self.assertTrue(is_usable(b"rsa-sha2-256", RSA.blob()))
        self.assertFalse(is_usable(b"ssh-rsa", RSA.blob()))
        self.assertFalse(is_usable(b"ssh-ed25519", RSA.blob()))
        self.assertFalse(is_usable(b"unknown", b""))
        self.assertFalse(is_usable(b"ssh-ed25519", b"\xff\xff\xff\xff"))

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=200), st.binary(max_size=200))
    def test_garbage(self, blob: bytes, signature: bytes) -> None:
        """Whatever is sent as key or signature, nothing is raised and nothing is good."""
        for algorithm in (b"ssh-ed25519", b"rsa-sha2-256", *CURVES, SK_ED25519, SK_ECDSA):
            for key in (blob, pack_string(algorithm) + blob):
                for signed in (signature, pack_string(algorithm) + pack_string(signature)):
                    self.assertFalse(verify(algorithm, key, signed, DATA))


class SecurityKeyTests(SynchronousTestCase):
    """FIDO keys, of both kinds."""

    def setUp(self) -> None:
        self.keys = [SecurityKey(SK_ED25519), SecurityKey(SK_ECDSA)]

    def test_touched(self) -> None:
        """A touched key is good; other flags don't matter."""
        for key in self.keys:
            for flags in (0x01, 0x05):
                signature = key.sign(DATA, flags)
                self.assertTrue(verify(key.algorithm, key.blob, signature, DATA))

    def test_not_touched(self) -> None:
        """A key that wasn't touched isn't, even if it says it was."""
        for key in self.keys:
            self.assertFalse(verify(key.algorithm, key.blob, key.sign(DATA, 0x04), DATA))
            lie = key.sign(DATA, 0x01, signed_flags=0x00)
            self.assertFalse(verify(key.algorithm, key.blob, lie, DATA))

    def test_application(self) -> None:
        """A signature made for another application isn't good."""
        for key in self.keys:
            key.application = b"https://elsewhere.example"
            self.assertFalse(verify(key.algorithm, key.blob, key.sign(DATA), DATA))

    def test_cut(self) -> None:
        """Flags or counter missing, or more after them: not good."""
        for key in self.keys:
            signature = key.sign(DATA)
            for bad in (signature[:-5], signature[:-1], signature + b"\0"):
                self.assertFalse(verify(key.algorithm, key.blob, bad, DATA))

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pki.public_keys import BadPublicKey, read_public_key


def line_of(private):
    public = private.public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class PublicKeyTests(SynchronousTestCase):
    def test_what_is_taken(self):
        for private in [
            ed25519.Ed25519PrivateKey.generate(),
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP521R1()),
            rsa.generate_private_key(65537, 2048),
        ]:
            line = line_of(private)
            for text in [line, f"{line} alice@laptop", f"  {line} two words\r\n"]:
                self.assertEqual(read_public_key(text), line)

    def test_what_puttygen_exports(self):
        line = line_of(ed25519.Ed25519PrivateKey.generate())
        blob = line.split(" ")[1]
        exported = (
            "---- BEGIN SSH2 PUBLIC KEY ----\r\n"
            'Comment: "ed25519-key-20260101"\r\n'
            f"{blob[:64]}\r\n{blob[64:]}\r\n"
            "---- END SSH2 PUBLIC KEY ----\r\n"
        )
        self.assertEqual(read_public_key(exported), line)

    def refused(self, text, words):
        error = self.assertRaises(BadPublicKey, read_public_key, text)
        self.assertIn(words, str(error))

    def test_what_is_refused(self):
        good = line_of(ed25519.Ed25519PrivateKey.generate())
        private = ed25519.Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
        )
        self.refused(private.decode(), "private key")
        self.refused("PuTTY-User-Key-File-3: ssh-ed25519", "private key")
        self.refused("", "one line")
        self.refused(f"{good}\n{good}", "one line")
        self.refused(f'command="x" {good}', "one line")
        self.refused(good[:-8], "cut")
        self.refused(good.replace("ssh-ed25519 ", "ssh-ed25519 !"), "cut")
        self.refused(good.replace("ssh-ed25519 ", "ssh-ed25519 \u00e9"), "cut")
        self.refused(line_of(rsa.generate_private_key(65537, 1024)), "1024 bits")
        modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
        odd = rsa.RSAPublicNumbers((1 << 2000) + 1, modulus).public_key()
        line = odd.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        self.refused(line, "unusual exponent")
        self.refused("ssh-dss AAAAB3NzaC1kc3M=", "type")
        certificate = (
            "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t"
        )
        self.refused(certificate, "type")

    def test_the_word_before_the_key_is_not_believed(self):
        good = line_of(ed25519.Ed25519PrivateKey.generate())
        self.assertEqual(read_public_key(good.replace("ssh-ed25519 ", "ssh-rsa ")), good)

    @given(st.text(max_size=300))
    def test_any_text_is_a_key_or_refused(self, text):
        try:
            read_public_key(text)
        except BadPublicKey as error:
            self.assertTrue(str(error))

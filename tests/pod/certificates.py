"""Servers' certificates, and TLS servers in memory."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.ssl import CertificateOptions

DAY = timedelta(days=1)


def make_certificate(name="db.internal", ends=None, begins=None, key=None):
    """Make a self-signed certificate for a name; give it and its key."""
    now = datetime.now(UTC)
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - 400 * DAY)
        .not_valid_after(ends or now + 365 * DAY)
    )
    if name and name.isascii() and name.isprintable():
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()), key


def write_certificate(certificate_file, key_file, name="localhost", ends=None):
    """Make a certificate and write it and its key as PEM files; None writes no such file."""
    certificate, key = make_certificate(name, ends)
    if certificate_file is not None:
        certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    if key_file is not None:
        key_file.touch(0o600)
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def server_context(certificate, key, configure=lambda context: None):
    """Give what a TLS server needs that shows a certificate."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(crypto.X509.from_cryptography(certificate))
    context.use_privatekey(crypto.PKey.from_cryptography_key(key))
    configure(context)
    return context


class MemoryServer:
    """A TLS server that answers bytes with bytes."""

    def __init__(self, certificate, key, configure=lambda context: None):
        self.connection = SSL.Connection(server_context(certificate, key, configure), None)
        self.connection.set_accept_state()
        self.failed = None

    def answer(self, data):
        if data:
            self.connection.bio_write(data)
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.failed = error
        try:
            return self.connection.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""


def options():
    """Give what Twisted makes of an ``ssl:`` description."""
    certificate, key = make_certificate("pod.example.com")
    return CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(key),
        certificate=crypto.X509.from_cryptography(certificate),
    )

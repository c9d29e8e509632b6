"""The connector's side of certificates: its key and its signing requests."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


def new_private_key() -> bytes:
    """Make a private key (P-256, which every TLS 1.2 library takes) as PKCS #8 PEM."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def make_request(private_key_pem: bytes) -> bytes:
    """Make a certificate signing request (PKCS #10, PEM) for a key.

    It names nobody: who the connector is follows from its join token or its certificate.

    :raise ValueError: that isn't a P-256 private key.
    """
    key = load_pem_private_key(private_key_pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic curve private key")
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)

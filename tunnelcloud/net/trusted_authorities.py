"""Which authorities a server elsewhere may be certified by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import crypto
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates


def trusted(ca: Path | None) -> Any:
    """Return the trusted authorities: those of a file, or the machine's.

    :param ca: the certificates of authorities, in PEM.
    :raise OSError: the file can't be read.
    :raise ValueError: it has no certificate.
    """
    if ca is None:
        return platformTrust()
    found = x509.load_pem_x509_certificates(ca.read_bytes())
    return trustRootFromCertificates(
        [Certificate(crypto.X509.from_cryptography(one)) for one in found]
    )

"""The pods' CA and its successor: which of them signs, and which are trusted.

While one takes the other's place both are trusted.  Pods go on to show certificates of the first,
since connectors that weren't there for a while know no other; connectors are given certificates of
the new one as soon as they say that they trust it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from tunnelcloud.pki.authority import UNREADABLE, CertificateAuthority, check_pod_certificate


@frozen
class Authorities:
    """The CAs of all pods.

    :ivar serving: signs the pods' own certificates, and is the one that join tokens name.
    :ivar new: takes its place; None while nothing does.
    """

    serving: CertificateAuthority
    new: CertificateAuthority | None = None

    @property
    def all(self) -> tuple[CertificateAuthority, ...]:
        """Those that are trusted, the newest first."""
        return (self.serving,) if self.new is None else (self.new, self.serving)

    def for_holder(self, trusted: Collection[str]) -> CertificateAuthority:
        """Give the CA that signs for a connector: the newest that it trusts.

        :param trusted: the CAs' pins in hexadecimal; none for a connector that doesn't say.
        """
        return next((one for one in self.all if one.pin.hex() in trusted), self.serving)

    def issuer_of(self, certificate: x509.Certificate) -> CertificateAuthority | None:
        """Tell which CA signed a certificate; None for none of them."""
        return next((one for one in self.all if is_issued_by(certificate, one.certificate)), None)


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Tell whether a CA signed a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def check_pod_of_any(
    certificate: x509.Certificate, authorities: Sequence[x509.Certificate], now: datetime
) -> None:
    """Check that a certificate is a pod's, signed by one of these CAs and good now.

    :raise UntrustedPod: it isn't; the text is of the CA that signed it, where one did.
    """
    signer = next((one for one in authorities if is_issued_by(certificate, one)), authorities[0])
    check_pod_certificate(certificate, signer, now)

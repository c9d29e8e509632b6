"""The web's certificate as it is kept, and when it is to be renewed."""

from __future__ import annotations

from datetime import datetime

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from tunnelcloud.pod.web_certificate import web_context


@define(eq=False)
class Kept:
    """A certificate as it is kept.

    :ivar chain: the certificate and those up to its authority's, in PEM.
    """

    directory: str
    chain: str
    private_key: str = field(repr=False)
    certificate: x509.Certificate = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.certificate = x509.load_pem_x509_certificates(self.chain.encode("ascii"))[0]

    def names(self) -> set[str]:
        """Return the host names in the certificate; none if it names none."""
        try:
            found = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return set()
        return set(found.value.get_values_for_type(x509.DNSName))

    def late_at(self) -> datetime:
        """Return when half of the time for its renewal is over."""
        return self.renew_at() + (self.certificate.not_valid_after_utc - self.renew_at()) / 2

    def renew_at(self) -> datetime:
        """Return when two thirds of its lifetime are over."""
        begins, ends = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return begins + (ends - begins) * 2 / 3

    def context(self) -> SSL.Context:
        """Make the TLS context that serves it."""
        context = web_context()
        first, *rest = x509.load_pem_x509_certificates(self.chain.encode("ascii"))
        context.use_certificate(crypto.X509.from_cryptography(first))
        for one in rest:
            context.add_extra_chain_cert(crypto.X509.from_cryptography(one))
        key = load_pem_private_key(self.private_key.encode("ascii"), None)
        context.use_privatekey(crypto.PKey.from_cryptography_key(key))  # type: ignore[arg-type]
        context.check_privatekey()
        return context

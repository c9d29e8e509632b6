"""The pods' own certificate authority, and the checks of its certificates.

One CA serves all pods of an installation.  It signs two kinds of certificates: the pods' (named
after the CA itself, since a connector trusts any pod of its CA wherever it listens) and the
connectors'.  Both are told apart by their extended key usage and by their names.
"""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from tunnelcloud.private_files import read_private

AUTHORITY_NAME = "TunnelCloud CA"
AUTHORITY_FILE = "authority.pem"
AUTHORITY_LIFETIME = timedelta(days=365 * 25)
POD_CERTIFICATE_LIFETIME = timedelta(days=365)
CONNECTOR_URI = "tunnelcloud:connector/"

_MINUTE = "%Y-%m-%d %H:%M"
_CLOCK_SKEW = timedelta(minutes=5)
"""How far behind a peer's clock may be for a new certificate to be good already, if it lives long
enough; who renews by the share of its life that is over counts this in."""


class BadAuthority(Exception):
    """The CA's certificate or key is invalid."""


UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""The exceptions for malformed certificates and requests from others."""


class BadCertificateRequest(Exception):
    """A signing request is malformed, not signed by its own key, or of an unwanted key type."""


class NotAConnectorCertificate(Exception):
    """A certificate doesn't name a connector."""


class UntrustedPod(Exception):
    """A pod's certificate isn't one of the CA that the connector trusts."""


class WrongClock(UntrustedPod):
    """A pod's certificate is the CA's, and isn't good at the time of this machine's clock."""


@frozen
class IssuedCertificate:
    """A certificate that was just signed, and its key where that was made with it."""

    pem: bytes
    serial: str
    not_after: datetime
    private_key_pem: bytes = field(default=b"", repr=False)


@frozen
class CertificateAuthority:
    """The CA: its certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(cls, now: datetime) -> "CertificateAuthority":
        """Make a new CA.

        :param now: the time, with a time zone.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
        builder = _certificate(name, name, key.public_key(), now, AUTHORITY_LIFETIME)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        ).add_extension(_key_usage(signs_certificates=True), critical=True)
        builder = _with_key_identifiers(builder, key.public_key(), key.public_key())
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def from_pem(cls, pem: bytes) -> "CertificateAuthority":
        """Read what ``to_pem`` wrote.

        :raise BadAuthority: that isn't a certificate and its P-256 key.
        """
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise BadAuthority(f"not a CA certificate with its private key: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise BadAuthority("the CA's key isn't an elliptic curve key")
        if key.public_key() != certificate.public_key():
            raise BadAuthority("the CA's private key doesn't belong to its certificate")
        return cls(certificate, key)

    def to_pem(self) -> bytes:
        """Give certificate and private key, as PEM: a secret."""
        return self.certificate_pem + self.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )

    @property
    def certificate_pem(self) -> bytes:
        """The CA's certificate alone, which is no secret."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def pin(self) -> bytes:
        """The SHA-256 digest of the CA's certificate, which join tokens carry."""
        return certificate_pin(self.certificate)

    def issue_pod_certificate(
        self, now: datetime, lifetime: timedelta = POD_CERTIFICATE_LIFETIME
    ) -> IssuedCertificate:
        """Make a key and certificate for the listener that connectors dial."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._issue(
            key.public_key(),
            x509.DNSName(_pod_name(self.certificate)),
            "pod",
            ExtendedKeyUsageOID.SERVER_AUTH,
            now,
            lifetime,
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def sign_request(
        self, request_pem: bytes, connector_id: str, now: datetime, lifetime: timedelta
    ) -> IssuedCertificate:
        """Sign a connector's request.  Only its key is used: names in it count for nothing.

        :raise BadCertificateRequest: see ``request_key``.
        """
        return self._issue(
            request_key(request_pem),
            x509.UniformResourceIdentifier(CONNECTOR_URI + connector_id),
            connector_id,
            ExtendedKeyUsageOID.CLIENT_AUTH,
            now,
            lifetime,
        )

    def _issue(
        self,
        public_key: ec.EllipticCurvePublicKey,
        alternative_name: x509.GeneralName,
        common_name: str,
        usage: x509.ObjectIdentifier,
        now: datetime,
        lifetime: timedelta,
        private_key_pem: bytes = b"",
    ) -> IssuedCertificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = _certificate(self.certificate.subject, subject, public_key, now, lifetime)
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName([alternative_name]), critical=False)
        )
        builder = _with_key_identifiers(builder, public_key, self.key.public_key())
        certificate = builder.sign(self.key, hashes.SHA256())
        return IssuedCertificate(
            certificate.public_bytes(Encoding.PEM),
            f"{certificate.serial_number:x}",
            certificate.not_valid_after_utc,
            private_key_pem,
        )


def load_or_make_authority(directory: Path, now: datetime) -> CertificateAuthority:
    """Give the CA that an earlier version kept in a directory, or a new one.  Writes nothing.

    :raise BadAuthority: the file isn't a CA.
    :raise ExposedPrivateFile, UnreadablePrivateFile: see ``read_private``.
    """
    path = directory / AUTHORITY_FILE
    try:
        return CertificateAuthority.from_pem(read_private(path))
    except FileNotFoundError:
        return CertificateAuthority.create(now)
    except BadAuthority as error:
        raise BadAuthority(f"{path}: {error}; restore it from a backup") from error


def request_key(request_pem: bytes) -> ec.EllipticCurvePublicKey:
    """Give the public key of a signing request, once its signature has been checked.

    :raise BadCertificateRequest: malformed, badly signed, or not a P-256 key.
    """
    try:
        request = x509.load_pem_x509_csr(request_pem)
        key = request.public_key()
        # Anybody may ask, and other kinds of keys cost many times as much to check.
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != ec.SECP256R1.name:
            raise BadCertificateRequest("the key is not a P-256 key")
        signed = request.is_signature_valid
    except UNREADABLE as error:
        raise BadCertificateRequest(f"malformed request: {error}") from error
    if not signed:
        raise BadCertificateRequest("the request is not signed by its own key")
    return key


def public_key_fingerprint(source: "bytes | x509.Certificate") -> str:
    """Give the SHA-256 digest (hexadecimal) of the public key of a request or a certificate.

    :param source: a signing request (PEM) or a certificate.
    :raise BadCertificateRequest: see ``request_key``.
    """
    key = request_key(source) if isinstance(source, bytes) else source.public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def certificate_pin(certificate: x509.Certificate) -> bytes:
    """Give the SHA-256 digest of a certificate."""
    return certificate.fingerprint(hashes.SHA256())


def connector_id_of(certificate: x509.Certificate) -> str:
    """Give the id of the connector that a certificate was signed for.

    The caller has checked the certificate's chain.

    :raise NotAConnectorCertificate: it names none, or is no client's certificate.
    """
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE) as error:
        raise NotAConnectorCertificate("no usable extensions") from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usages or len(uris) != 1:
        raise NotAConnectorCertificate("not a client's certificate")
    if not uris[0].startswith(CONNECTOR_URI):
        raise NotAConnectorCertificate("doesn't name a connector")
    return uris[0].removeprefix(CONNECTOR_URI)


def check_pod_certificate(
    certificate: x509.Certificate, authority: x509.Certificate, now: datetime
) -> None:
    """Check that a certificate is a pod's, signed by this CA and good now (RFC 5280, 6.1).

    :raise UntrustedPod: it isn't.
    """
    try:
        _verify_pod(certificate, authority, now)
    except (VerificationError, ValueError) as error:
        if not is_of_its_time(certificate, now):
            raise WrongClock(f"the pod's certificate is {clock_text(certificate, now)}") from error
        if not is_of_its_time(authority, now):
            raise WrongClock(f"the pod's CA is {clock_text(authority, now)}") from error
        raise UntrustedPod(f"the pod's certificate is not good: {error}") from error


def _verify_pod(certificate: x509.Certificate, authority: x509.Certificate, now: datetime) -> None:
    builder = PolicyBuilder().store(Store([authority])).time(now)
    verifier = builder.build_server_verifier(x509.DNSName(_pod_name(authority)))
    verifier.verify(certificate, [])


def is_of_its_time(certificate: x509.Certificate, now: datetime) -> bool:
    """Tell whether a certificate is good at a time, as far as time goes."""
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def clock_text(certificate: x509.Certificate, now: datetime) -> str:
    """Say from when to when a certificate is good, and what this machine's clock says."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (
        f"good from {begin:{_MINUTE}} to {end:{_MINUTE}} UTC, and this machine's clock says "
        f"{now:{_MINUTE}}: set it if it is wrong"
    )


def is_of_some_cluster(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate names a CA of pods as its issuer; whose it is isn't looked at."""
    names = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return any(name.value == AUTHORITY_NAME for name in names)


def _pod_name(authority: x509.Certificate) -> str:
    """Name the pods of a CA: fixed, so that any address may lead to any of them."""
    return f"pod.{certificate_pin(authority).hex()[:32]}.tunnelcloud.internal"


def _certificate(
    issuer: x509.Name,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - min(_CLOCK_SKEW, lifetime / 10))
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _with_key_identifiers(
    builder: x509.CertificateBuilder,
    subject_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    return builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(subject_key), critical=False
    ).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)

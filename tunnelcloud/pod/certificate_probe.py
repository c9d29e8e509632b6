"""A client's side of a TLS handshake, done only to look at the certificate; bytes in, bytes out.

Nothing depends on the result, so nothing is verified: old versions and weak keys are accepted,
since the end of such a target's certificate matters too.  The target may send ``MAX_RECEIVED``
bytes, which are shown escaped.
"""

from __future__ import annotations

from functools import cache

from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from service_identity.exceptions import CertificateError, VerificationError

from tunnelcloud.domain.addresses import is_address
from tunnelcloud.domain.target_certificates import SeenCertificate
from tunnelcloud.net.escaping import escape
from tunnelcloud.pki.authority import UNREADABLE

MAX_RECEIVED = 128 * 1024
"""How many bytes a target may send; OpenSSL itself accepts chains of up to 100 KiB."""

_MAX_CHAIN = 16
_NAME_SHOWN = 160


class HandshakeFailed(Exception):
    """The target showed no certificate; the message says why, for people."""


class Handshake:
    """One handshake.

    :ivar certificate: the target's certificate, once it has shown it.
    :ivar over: whether the handshake is over.
    """

    def __init__(self, address: str) -> None:
        """:param address: the target's name or IP address, which its certificate should be for."""
        self.certificate: SeenCertificate | None = None
        self.over = False
        self._address = address
        self._received = 0
        self._connection = SSL.Connection(_context(), None)
        self._connection.set_connect_state()
        if not is_address(address):
            self._connection.set_tlsext_host_name(address.encode("ascii", "replace"))

    def begin(self) -> bytes:
        """Return the ClientHello."""
        self._step()
        return self._unsent()

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take the target's bytes, and return the answer.

        :raise HandshakeFailed: there will be no certificate.
        """
        self._received += len(data)
        if self._received > MAX_RECEIVED:
            raise HandshakeFailed(f"the target sent more than {MAX_RECEIVED // 1024} KiB")
        self._connection.bio_write(bytes(data))
        self._step()
        return self._unsent()

    def end(self, reason: str) -> None:
        """Hear that the target sends nothing more.

        :raise HandshakeFailed: for ``reason``, when no certificate was seen before.
        """
        self.over = True
        self._look()
        if self.certificate is None:
            raise HandshakeFailed(reason)

    def _step(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            # A target that wants a client certificate sends an alert, after it has shown its own.
            self.end(_reason(error))
        else:
            self.end("the target showed no certificate")

    def _look(self) -> None:
        try:
            found = self._connection.get_peer_certificate(as_cryptography=True)
            if found is not None:
                self.certificate = self._read(found)
        except UNREADABLE as error:
            text = escape(str(error), _NAME_SHOWN)
            raise HandshakeFailed(f"its certificate can't be read: {text}") from None

    def _read(self, found: x509.Certificate) -> SeenCertificate:
        return SeenCertificate(
            subject=_name(found.subject),
            issuer=_name(found.issuer),
            begins_at=found.not_valid_before_utc,
            ends_at=found.not_valid_after_utc,
            fault=self._distrust(found),
        )

    def _distrust(self, found: x509.Certificate) -> str:
        """Say why this machine would not trust the certificate of a server it dialled."""
        chain = (self._connection.get_peer_cert_chain() or [])[1:_MAX_CHAIN]
        leaf = crypto.X509.from_cryptography(found)
        trusted = _context().get_cert_store()
        assert trusted is not None
        try:
            crypto.X509StoreContext(trusted, leaf, chain).verify_certificate()
        except crypto.X509StoreContextError as error:
            return str(error)
        verify = (
            verify_certificate_ip_address
            if is_address(self._address)
            else verify_certificate_hostname
        )
        try:
            verify(found, self._address)
        except (VerificationError, CertificateError, *UNREADABLE):
            return f"it isn't for {self._address}"
        return ""

    def _unsent(self) -> bytes:
        parts = []
        try:
            while True:
                parts.append(self._connection.bio_read(16384))
        except SSL.WantReadError:
            return b"".join(parts)


@cache
def _context() -> SSL.Context:
    """Return the TLS context of all handshakes; made once, since reading authorities takes a while.

    It has to be kept, because it owns the store of authorities that others use.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_default_verify_paths()
    context.set_verify(SSL.VERIFY_NONE)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    # With DHE the target chooses the prime: one of 10,000 bits keeps the reactor for a second.
    context.set_cipher_list(b"DEFAULT:!kDHE:@SECLEVEL=0")
    context.set_options(SSL.OP_LEGACY_SERVER_CONNECT | SSL.OP_NO_TICKET)
    return context


def _reason(error: SSL.Error) -> str:
    """Return OpenSSL's own text for an error."""
    details = error.args[0] if error.args else ()
    words = [entry[-1] for entry in details if isinstance(entry, tuple) and entry[-1]]
    return escape(words[-1] if words else "the target closed the connection", _NAME_SHOWN)


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = common[-1].value if common else name.rfc4514_string()
    return escape(text, _NAME_SHOWN)

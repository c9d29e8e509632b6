"""TLS between connectors and pods: which certificates they show, and which they trust.

One listener serves two protocols, told apart by ALPN.  On a link both ends show a certificate of
the pods' CA, the pod's good for servers and the connector's for clients.  A connector that joins
has no certificate yet; it knows the pod's CA by the digest in its join token.  No client is let in
by the handshake alone: the protocol above looks at its certificate once it is over.

Sessions are never resumed and never renegotiated, so that each connection proves anew who it is.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused
from tunnelcloud.net.handshake_limits import bounded
from tunnelcloud.pki.authority import (
    UNREADABLE,
    NotAConnectorCertificate,
    UntrustedPod,
    WrongClock,
    certificate_pin,
    check_pod_certificate,
    clock_text,
    connector_id_of,
    is_of_some_cluster,
)
from tunnelcloud.pki.authority_rotation import Authorities

_log = Logger()

LINK_ALPN = b"tunnelcloud-link/1"
JOIN_ALPN = b"tunnelcloud-join/1"

_TLS12_CIPHERS = b":".join(
    b"ECDHE-ECDSA-" + cipher
    for cipher in (b"AES128-GCM-SHA256", b"CHACHA20-POLY1305", b"AES256-GCM-SHA384")
)
_TLS13_CIPHERS = b"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
_ISSUER_SHOWN = 160
UNREADABLE_TEXT = (
    "what answers shows a certificate that can't be read, so it is no pod: check the address"
)
_NOT_YET_VALID, _HAS_EXPIRED = 9, 10
"""OpenSSL's numbers of two faults of a certificate (X509_V_ERR_…)."""

_NOT_TAKEN = ("alert certificate expired", "alert bad certificate")
"""OpenSSL's texts when the other end refuses a certificate because of its dates."""

_TOLD_EVERY = timedelta(minutes=1)

_MODE_ENABLE_PARTIAL_WRITE = 1
"""SSL_MODE_ENABLE_PARTIAL_WRITE, which pyOpenSSL sets and has no name for."""

MODE_RELEASE_BUFFERS = 0x10
"""SSL_MODE_RELEASE_BUFFERS, which pyOpenSSL has no name for either."""

_MODE_NO_AUTO_CHAIN = 0x8
"""SSL_MODE_NO_AUTO_CHAIN, which pyOpenSSL has no name for either."""


@implementer(IOpenSSLServerConnectionCreator)
class PodTLS:
    """The pod's end: shows a certificate of the CA, asks for one of a CA that it trusts.

    A client may have none, if it comes to join; one of another CA fails the handshake.  The
    pod's own certificate is made here and replaced when two thirds of its time are over.

    :param authorities: gives the CAs as they are now.
    :ivar ends_at: when the pod's own certificate ends.
    """

    def __init__(self, authorities: Callable[[], Authorities], now: Callable[[], datetime]) -> None:
        self._authorities = authorities
        self._now = now
        self._told_at: datetime | None = None
        self._context = self._make_context()

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """Make the TLS end of one accepted connection."""
        if self._now() >= self._renew_at or self._authorities() is not self._made_for:
            self._context = self._make_context()
        return bounded(SSL.Connection(self._context, None))

    def _make_context(self) -> SSL.Context:
        now = self._now()
        authorities = self._made_for = self._authorities()
        issued = authorities.serving.issue_pod_certificate(now)
        self.ends_at = issued.not_after
        self._renew_at = now + (issued.not_after - now) * 2 / 3
        context = _context(issued.private_key_pem, issued.pem)
        _trust(context, [one.certificate for one in authorities.all])
        context.set_verify(SSL.VERIFY_PEER, self._note_connector)
        # Sent along, so that a connector that joins can compare its digest with the token's.
        context.add_extra_chain_cert(authorities.serving.certificate)
        for one in authorities.all:
            context.add_client_ca(one.certificate)
        context.set_alpn_select_callback(lambda _, offered: _select_protocol(offered))
        return context

    def _note_connector(
        self, _: SSL.Connection, certificate: X509, error: int, depth: int, trusted: int
    ) -> bool:
        """Log that a connector is refused because of its dates: TLS tells the connector only
        briefly."""
        now = self._now()
        is_told = self._told_at is not None and now - self._told_at < _TOLD_EVERY
        if not trusted and not depth and error in (_NOT_YET_VALID, _HAS_EXPIRED) and not is_told:
            self._told_at = now
            try:
                found = certificate.to_cryptography()
                name = connector_id_of(found)
            except (*UNREADABLE, NotAConnectorCertificate):
                return False
            _log.warn(
                "connector {name} is refused: its certificate is {text}; else it needs a new "
                "token from `tunnelcloud connector join-token`",
                name=name,
                text=clock_text(found, now),
            )
        return bool(trusted)


@implementer(IOpenSSLClientConnectionCreator)
class LinkTLS:
    """A joined connector's end: shows its certificate, trusts the CAs of its pods.

    :param ca_pem: one or more certificates.
    :raise ValueError: a PEM is invalid, or key and certificate don't belong together.
    """

    def __init__(self, ca_pem: bytes, certificate_pem: bytes, private_key_pem: bytes) -> None:
        self.authorities = tuple(x509.load_pem_x509_certificates(ca_pem))
        self.certificate = x509.load_pem_x509_certificate(certificate_pem)
        try:
            self._context = _context(private_key_pem, certificate_pem)
        except SSL.Error as error:
            raise ValueError("the private key doesn't belong to the certificate") from error
        _trust(self._context, self.authorities)
        # Else OpenSSL sends the CA's certificate along. The pod has it, and would keep a copy for
        # each link.
        self._context.set_mode(_MODE_NO_AUTO_CHAIN)
        self._context.set_verify(SSL.VERIFY_PEER, _note_distrust)
        self._context.set_alpn_protos([LINK_ALPN])

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """Make the TLS end of one connection to a pod."""
        return bounded(SSL.Connection(self._context, None))


@implementer(IOpenSSLClientConnectionCreator)
class JoinTLS:
    """A joining connector's end.

    The handshake itself trusts anybody: nothing may be sent before ``pinned_authority`` has
    found the CA of the join token.
    """

    def __init__(self) -> None:
        self._context = _context()
        self._context.set_verify(SSL.VERIFY_NONE)
        self._context.set_alpn_protos([JOIN_ALPN])

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """Make the TLS end of one connection to a pod."""
        return bounded(SSL.Connection(self._context, None))


def pinned_authority(
    transport: TLSMemoryBIOProtocol, ca_pin: bytes, now: datetime
) -> x509.Certificate:
    """Return the pod's CA, if the join token names it and it has signed the pod's certificate.

    :raise JoinRefused: the peer isn't a pod of that CA.
    """
    try:
        return _pinned(transport.getHandle(), ca_pin, now)
    except UNREADABLE as error:
        raise JoinRefused(JoinProblem.OTHER_POD, UNREADABLE_TEXT) from error


def shown_certificate(connection: SSL.Connection) -> x509.Certificate | None:
    """Give the certificate that a peer showed; None for none, or for one that can't be read."""
    try:
        return connection.get_peer_certificate(as_cryptography=True)
    except UNREADABLE:
        return None


def _pinned(connection: SSL.Connection, ca_pin: bytes, now: datetime) -> x509.Certificate:
    chain = connection.get_peer_cert_chain(as_cryptography=True) or []
    for certificate in chain[1:]:
        if certificate_pin(certificate) == ca_pin:
            try:
                check_pod_certificate(chain[0], certificate, now)
            except WrongClock as error:
                raise JoinRefused(JoinProblem.OTHER_POD, str(error)) from error
            except UntrustedPod as error:
                raise JoinRefused(JoinProblem.OTHER_POD) from error
            return certificate
    if chain and not is_of_some_cluster(chain[0]):
        raise JoinRefused(JoinProblem.OTHER_POD, stranger_text(chain[0]))
    raise JoinRefused(JoinProblem.OTHER_POD)


def distrust(transport: TLSMemoryBIOProtocol) -> str:
    """Say in one line why a pod's certificate was not trusted; empty if it was, or none came."""
    handle = transport.getHandle()
    noted = None if handle is None else handle.get_app_data()
    return noted if isinstance(noted, str) else ""  # Twisted keeps the transport there


def not_taken(certificate: x509.Certificate, reason: str, now: datetime) -> str:
    """Say what to do when a pod doesn't take a connector's certificate; empty for another reason.

    :param reason: why the connection was lost.
    """
    if not any(words in reason for words in _NOT_TAKEN):
        return ""
    return (
        f"the pod doesn't take this connector's certificate, which is "
        f"{clock_text(certificate, now)}, as the pod's may be; else start it once with "
        "--join-file and a new token"
    )


def stranger_text(certificate: x509.Certificate) -> str:
    """Say what to do about a certificate that no cluster issued."""
    names = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    issuer = str(names[-1].value) if names else certificate.issuer.rfc4514_string()
    shown = "".join(one if one.isprintable() else "?" for one in issuer)[:_ISSUER_SHOWN]
    return (
        f"the certificate is issued by {shown} and not by this cluster: if that is a proxy which "
        "opens TLS to look inside, ask for an exemption; else check the address"
    )


def _note_distrust(
    connection: SSL.Connection, certificate: X509, error: int, _depth: int, trusted: int
) -> bool:
    if not trusted:
        try:
            text = _distrust_text(certificate.to_cryptography(), error)
        except UNREADABLE:
            text = UNREADABLE_TEXT
        connection.set_app_data(text)
    return bool(trusted)


def _distrust_text(found: x509.Certificate, error: int) -> str:
    """Say what to do about a certificate that isn't trusted.

    For an unreadable certificate one of ``UNREADABLE`` is raised.
    """
    if not is_of_some_cluster(found):
        return stranger_text(found)
    if error in (_NOT_YET_VALID, _HAS_EXPIRED):
        return f"the pod's certificate is {clock_text(found, datetime.now(UTC))}"
    return "the certificate is another cluster's: check the pod's address"


def _context(private_key_pem: bytes = b"", certificate_pem: bytes = b"") -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_TLS12_CIPHERS)
    context.set_tls13_ciphersuites(_TLS13_CIPHERS)
    context.set_options(
        SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_NO_TICKET
        | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.clear_mode(_MODE_ENABLE_PARTIAL_WRITE)
    # An idle link holds no buffers for records: they would be a third of its memory.
    context.set_mode(MODE_RELEASE_BUFFERS)
    if private_key_pem:
        key = load_pem_private_key(private_key_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("not an elliptic curve private key")
        context.use_certificate(x509.load_pem_x509_certificate(certificate_pem))
        context.use_privatekey(key)
        context.check_privatekey()
    return context


def _trust(context: SSL.Context, authorities: Iterable[x509.Certificate]) -> None:
    """Verify the peer against these CAs; OpenSSL checks clientAuth and serverAuth by itself."""
    store = context.get_cert_store()
    assert store is not None
    for authority in authorities:
        store.add_cert(X509.from_cryptography(authority))
    context.set_verify(SSL.VERIFY_PEER)
    context.set_verify_depth(1)


def _select_protocol(offered: list[bytes]) -> "bytes | SSL._NoOverlappingProtocols":
    for protocol in (LINK_ALPN, JOIN_ALPN):
        if protocol in offered:
            return protocol
    return SSL.NO_OVERLAPPING_PROTOCOLS

"""Answers that prove to an authority that a name leads to this pod (RFC 8555, 8.3, and RFC 8737).

The answers are in the store, so that any pod gives them, whichever one ordered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import (
    IDelayedCall,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.net.handshake_limits import bounded
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.tls_server import TurnTakingTLSFactory

TLS_ALPN = "tls-alpn-01"

ALPN = b"acme-tls/1"
"""The ALPN protocol with which an authority asks for the answer of TLS-ALPN-01."""

PATH = "/.well-known/acme-challenge/"
"""The path under which an authority asks for the answer of HTTP-01; the token follows it."""

_IDENTIFIER = ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OCTETS_OF_DIGEST = b"\x04\x20"  # DER: an octet string of 32 bytes
_DAY = timedelta(days=1)
_PATIENCE = 10.0


@implementer(IOpenSSLServerConnectionCreator)
@define(eq=False)
class Answers:
    """The answers to the challenges of the order that is under way.

    :ivar _of: key authorizations, by name for TLS-ALPN-01, by token for HTTP-01.
    """

    _of: Mapping[str, str] = field(factory=dict)
    _contexts: dict[str, SSL.Context] = field(factory=dict, init=False)
    _turns: HandshakeQueue | None = field(default=None, init=False)

    def __bool__(self) -> bool:
        return bool(self._of)

    def replace(self, answers: Mapping[str, str]) -> None:
        """Take other answers instead."""
        if answers != self._of:
            self._of = answers
            self._contexts.clear()

    def of(self, token: str) -> str | None:
        """Return the answer of HTTP-01 for a token; None for an unknown token."""
        return self._of.get(token)

    def tls(self, reactor: Any) -> IProtocolFactory:
        """Make the factory that answers an authority's check by TLS-ALPN-01."""
        silent: Factory = Factory.forProtocol(lambda: _Silent(reactor))
        silent.noisy = False
        self._turns = self._turns or HandshakeQueue(reactor)
        return TurnTakingTLSFactory(self, silent, reactor, self._turns)

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """Make the TLS end of a check: its certificate depends on the requested name."""
        context = _context()
        context.set_tlsext_servername_callback(self._choose)
        return bounded(SSL.Connection(context, None))

    def _choose(self, connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace")
        name = folded(name)
        authorization = self._of.get(name)
        if authorization is None:
            return  # without a certificate the handshake fails
        if name not in self._contexts:
            self._contexts[name] = _context(name, authorization)
        connection.set_context(self._contexts[name])


def _context(name: str | None = None, authorization: str = "") -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_alpn_select_callback(
        lambda _, offered: ALPN if ALPN in offered else SSL.NO_OVERLAPPING_PROTOCOLS
    )
    if name is not None:
        certificate, key = challenge_certificate(name, authorization)
        context.use_certificate(crypto.X509.from_cryptography(certificate))
        context.use_privatekey(crypto.PKey.from_cryptography_key(key))
    return context


def challenge_certificate(
    name: str, authorization: str
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Make the certificate that answers TLS-ALPN-01 (RFC 8737, 3)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ACME challenge")])
    now = datetime.now(UTC)
    digest = _OCTETS_OF_DIGEST + hashlib.sha256(authorization.encode("ascii")).digest()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(_IDENTIFIER, digest), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


class _Silent(Protocol):
    """Sends nothing, and waits until the authority has seen the certificate and disconnects."""

    transport: Any
    _timer: IDelayedCall

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def connectionMade(self) -> None:
        self._timer = self._clock.callLater(_PATIENCE, self.transport.abortConnection)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._timer.active():
            self._timer.cancel()

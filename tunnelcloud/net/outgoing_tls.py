"""TLS to servers elsewhere: which keys they may agree on with us, and how often.

A server chooses among what it is offered.  With finite-field Diffie-Hellman it would choose the
prime as well, and one of 10,000 bits keeps the reactor's thread for more than a second.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import AcceptableCiphers, optionsForClientTLS
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from tunnelcloud.net.handshake_limits import bounded

_CIPHERS = AcceptableCiphers.fromOpenSSLCipherString(
    "TLS13-AES-256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES-128-GCM-SHA256:"
    "ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES256:ECDH+AES128:RSA+AESGCM:RSA+AES:!aNULL:!MD5:!DSS"
)
"""Twisted's own list, without those of finite-field Diffie-Hellman."""


def tls_to(host: str, trust: Any = None) -> _Bounded:
    """Return what makes the TLS end of connections to a server.

    :param host: the server's name or address, which its certificate has to be for.
    :param trust: the trusted authorities; None for the machine's.
    """
    options = {"acceptableCiphers": _CIPHERS}
    return _Bounded(optionsForClientTLS(host, trustRoot=trust, extraCertificateOptions=options))


@implementer(IOpenSSLClientConnectionCreator)
@frozen
class _Bounded:
    creator: Any

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Make the TLS end of one connection."""
        return bounded(self.creator.clientConnectionForTLS(tlsProtocol))


@implementer(IPolicyForHTTPS)
@frozen
class HttpsPolicy:
    """The same for requests by HTTPS.

    :ivar trust: as of :func:`tls_to`.
    """

    trust: Any = None

    def creatorForNetloc(self, hostname: bytes, port: int) -> _Bounded:
        """Return what makes the TLS end of connections to a server."""
        return tls_to(hostname.decode("ascii"), self.trust)

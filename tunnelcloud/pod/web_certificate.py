"""The certificate that browsers see: of two files, read anew when they change, or by ACME.

A renewal replaces the certificate for connections to come; those that are open go on.  Files that
don't fit together, as they may while a renewal writes them, leave the certificate that is in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.logger import Logger
from zope.interface import implementer

from tunnelcloud.daemon import CannotServe
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.tls_server import TurnTakingTLSFactory
from tunnelcloud.private_files import ExposedPrivateFile, UnreadablePrivateFile, read_private
from tunnelcloud.settings.web import AcmeSettings, WebSettings

CHECK_SECONDS = 10.0
"""How often the files are looked at."""

_PROTOCOL = b"http/1.1"
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_log = Logger()


class BadCertificate(Exception):
    """Certificate and private key can't be used; the message names the file and says why."""


@implementer(IOpenSSLServerConnectionCreator)
class ShownCertificate:
    """The server's end of TLS for the web, with whatever certificate it is given.

    Without one each handshake fails.

    :ivar ends_at: when the certificate in use ends; None without one.
    """

    def __init__(self) -> None:
        self._context = web_context()
        self.ends_at: datetime | None = None

    def before(
        self, web: IProtocolFactory, reactor: Any, turns: HandshakeQueue
    ) -> IProtocolFactory:
        """Put TLS with this certificate before the web.

        :param turns: in which its handshakes are computed.
        """
        return TurnTakingTLSFactory(self, web, reactor, turns)

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """Make the TLS end of one accepted connection."""
        return SSL.Connection(self._context, None)

    def show(self, context: SSL.Context, ends_at: datetime) -> None:
        """Show another certificate from now on; connections that are open go on."""
        self._context, self.ends_at = context, ends_at


class WebCertificate(ShownCertificate):
    """The certificate in two PEM files.

    :ivar certificate_file: the certificate, and the chain up to its authority behind it.
    :ivar private_key_file: the private key, without a passphrase.
    :raise CannotServe: the files can't be used at the start.
    """

    def __init__(self, certificate_file: Path, private_key_file: Path) -> None:
        super().__init__()
        self.certificate_file = certificate_file
        self.private_key_file = private_key_file
        self._refused: tuple[int, ...] = ()
        self._stamp = self._look()
        try:
            self._read()
        except BadCertificate as error:
            raise CannotServe(str(error)) from None

    @classmethod
    def of(cls, web: WebSettings) -> WebCertificate | None:
        """Read the certificate that the settings name; None when they name none."""
        if web.certificate is None or web.private_key is None:
            return None
        return cls(web.certificate, web.private_key)

    def check(self) -> None:
        """Read the files if they have changed since the last time; log what came of it."""
        stamp = self._look()
        if stamp not in (self._stamp, self._refused):
            self.reload()

    def reload(self) -> bool:
        """Read the files now.

        :return: whether they are in use; otherwise the certificate before stays.
        """
        stamp = self._look()
        try:
            self._read()
        except BadCertificate as error:
            self._refused = stamp
            _log.error("the web's certificate stays as it was: {error}", error=str(error))
            return False
        self._stamp = stamp
        assert self.ends_at is not None
        _log.info(
            "the web's certificate, which ends at {ends}, was read from {path}",
            ends=self.ends_at.isoformat(),
            path=str(self.certificate_file),
        )
        return True

    def _look(self) -> tuple[int, ...]:
        stamp: list[int] = []
        for path in (self.certificate_file, self.private_key_file):
            try:
                found = path.stat()
            except OSError:
                stamp += (0, 0, 0)
            else:
                stamp += (found.st_mtime_ns, found.st_ino, found.st_size)
        return tuple(stamp)

    def _read(self) -> None:
        context = web_context()
        with _reading(self.certificate_file, "a certificate chain"):
            self.certificate_file.read_bytes()  # OpenSSL's own error doesn't say why
            context.use_certificate_chain_file(str(self.certificate_file))
        with _reading(self.private_key_file, "a private key without a passphrase"):
            key = crypto.load_privatekey(
                crypto.FILETYPE_PEM, read_private(self.private_key_file), b""
            )
        with _reading(self.certificate_file, "a certificate chain"):
            found = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        try:
            context.use_privatekey(key)
            context.check_privatekey()
        except SSL.Error:
            raise BadCertificate(
                f"{self.private_key_file}: this key doesn't belong to the certificate in "
                f"{self.certificate_file}"
            ) from None
        self.show(context, found.not_valid_after_utc)


def check_trusted(acme: AcmeSettings) -> None:
    """Read the certificate by which an authority of one's own is trusted.

    :raise CannotServe: it can't be used.
    """
    if acme.ca is None:
        return
    try:
        with _reading(acme.ca, "a certificate"):
            x509.load_pem_x509_certificates(acme.ca.read_bytes())
    except BadCertificate as error:
        raise CannotServe(f"web.acme.ca: {error}") from None


def web_context() -> SSL.Context:
    """Make what TLS for the web needs, but for the certificate."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    # A session that is resumed is in the browser's ticket; strangers' would be kept here by 20,000.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_alpn_select_callback(_select_http)
    return context


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadCertificate(f"{path}: can't be read: {error.strerror}") from None
    except (ExposedPrivateFile, UnreadablePrivateFile) as error:
        raise BadCertificate(str(error)) from None
    except (SSL.Error, crypto.Error, ValueError, TypeError):
        raise BadCertificate(f"{path}: isn't {what} in PEM") from None


def _select_http(_: object, offered: list[bytes]) -> bytes | SSL._NoOverlappingProtocols:
    return _PROTOCOL if _PROTOCOL in offered else SSL.NO_OVERLAPPING_PROTOCOLS

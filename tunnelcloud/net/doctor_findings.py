"""What ``tunnelcloud doctor`` finds, and how it tries what answers at an address."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from enum import Enum

from attrs import frozen
from cryptography import x509

from tunnelcloud.domain.proxy_choice import Proxy
from tunnelcloud.domain.proxy_dialogue import ProxyRefused
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.net.proxy_connection import reach
from tunnelcloud.pki.authority import UNREADABLE

ANSWER_SECONDS = 5.0
"""How long an address has to answer."""

_BANNER_BYTES = 255
"""What an SSH server may say first, by RFC 4253, section 4.2."""


class Mark(Enum):
    """How bad it is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


_SIGNS = {Mark.GOOD: "✓", Mark.WARNING: "!", Mark.BAD: "✕"}


@frozen
class Finding:
    """One thing that was looked at.

    :ivar what: its name, such as ``database`` or a setting's.
    :ivar text: what is so, and what to do if it isn't good.
    """

    what: str
    mark: Mark
    text: str

    def __str__(self) -> str:
        return f"{_SIGNS[self.mark]} {self.what}: {self.text}"


def good(what: str, text: str) -> Finding:
    """Tell of what is well."""
    return Finding(what, Mark.GOOD, text)


def warning(what: str, text: str) -> Finding:
    """Tell of what will matter."""
    return Finding(what, Mark.WARNING, text)


def bad(what: str, text: str) -> Finding:
    """Tell of what doesn't work."""
    return Finding(what, Mark.BAD, text)


class NoAnswer(Exception):
    """An address doesn't answer as it should; the message says how."""


def resolve(host: str) -> Sequence[str]:
    """Give the addresses of a host.

    :raise NoAnswer: it has none that this machine finds.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoAnswer(f"this machine finds no address of {host} ({error})") from None
    return sorted({str(one[4][0]) for one in found})


def ssh_greeting(address: PublicAddress) -> str:
    """Give the line by which the server at an address identifies itself.

    :raise NoAnswer: nothing there speaks SSH.
    """
    with connected(address) as connection:
        try:
            said = connection.recv(_BANNER_BYTES)
        except OSError as error:
            raise NoAnswer(f"what listens at {address} says nothing ({error})") from None
    line = said.partition(b"\n")[0].decode("ascii", "replace").strip()
    if not line.startswith("SSH-"):
        raise NoAnswer(f"what answers at {address} is no SSH server")
    return line


def shown_certificate(
    address: PublicAddress, alpn: bytes, proxy: Proxy | None = None
) -> x509.Certificate:
    """Give the certificate that the server at an address shows.

    :param alpn: the protocol that it is asked for.
    :param proxy: the way there.
    :raise NoAnswer: nothing there speaks TLS, or the proxy leads nowhere.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The caller judges it: by the CA of the pods.
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn.decode("ascii")])
    with connected(address, proxy) as connection:
        try:
            with context.wrap_socket(connection, server_hostname=address.host) as spoken:
                shown = spoken.getpeercert(binary_form=True)
        except (OSError, ValueError) as error:  # the latter for a name that TLS can't ask for
            raise NoAnswer(f"what answers at {address} doesn't speak TLS ({error})") from None
    if not shown:
        raise NoAnswer(f"what answers at {address} shows no certificate")
    try:
        return x509.load_der_x509_certificate(shown)
    except UNREADABLE:
        raise NoAnswer(
            f"what answers at {address} shows a certificate that can't be read"
        ) from None


def connected(address: PublicAddress, proxy: Proxy | None = None) -> socket.socket:
    """Connect, directly or through a proxy.

    :raise NoAnswer: that fails.
    """
    try:
        if proxy is None:
            return socket.create_connection((address.host, address.port), ANSWER_SECONDS)
        connection, _ = reach(proxy, address.host, address.port)
    except (OSError, ProxyRefused) as error:
        why = getattr(error, "strerror", None) or error
        raise NoAnswer(f"{address} can't be reached: {why}") from None
    connection.settimeout(ANSWER_SECONDS)
    return connection

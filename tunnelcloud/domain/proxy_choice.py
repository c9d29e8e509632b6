"""Which proxy a connection goes out by: a setting's, or that of the usual environment variables.

Pure: the environment comes in as an argument.  Connectors and the command line share it, so that
one machine's variables mean the same to both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from urllib.parse import quote, unquote, urlsplit

from attrs import evolve, field, frozen

from tunnelcloud.domain.addresses import is_loopback, read_address
from tunnelcloud.domain.names import canonical_host
from tunnelcloud.domain.ssh_command import bracketed

_PORTS = {"http": 3128, "https": 443, "socks5h": 1080, "socks5": 1080}
_FORM = '"http://user:password@proxy:3128", "https://proxy" or "socks5h://proxy:1080"'
_NAMES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_PLAIN_NAMES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_EXCEPTIONS = ("NO_PROXY", "no_proxy")


class BadProxy(ValueError):
    """A text that names no proxy which can be used; the message says what is allowed.

    It never has the text itself, which may hold a password.
    """


@frozen
class Proxy:
    """A proxy that TCP connections can be asked of."""

    scheme: str
    """``http``, ``https`` or ``socks5h``."""
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """The address with user and password, for a library."""
        secret = f"{_quoted(self.user)}:{_quoted(self.password)}@" if self.user else ""
        return f"{self.scheme}://{secret}{bracketed(self.host)}:{self.port}"

    def with_password(self, password: str) -> Proxy:
        """Give the same proxy with a password from elsewhere."""
        return evolve(self, password=password)


def read_proxy(text: str) -> Proxy:
    """Read a proxy's address.

    :raise BadProxy: it can't be used.
    """
    text = text.strip()
    if "://" not in text:
        text = f"http://{text}"  # as curl takes it
    try:
        parts = urlsplit(text)
        port = parts.port
        host = canonical_host(parts.hostname or "")
    except ValueError:
        raise BadProxy(f"use {_FORM}") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise BadProxy(f"proxies of the kind {scheme!r} can't be used: use {_FORM}")
    if not host or re.search(r"[^\x21-\x7e]", host) or parts.path.strip("/") or parts.query:
        raise BadProxy(f"use {_FORM}")
    # Names are always left to the proxy: the site's own DNS may not know the outside.
    return Proxy(
        "socks5h" if scheme == "socks5" else scheme,
        host,
        port or _PORTS[scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


def proxy_from(
    environment: Mapping[str, str], host: str, port: int, *, plain: bool = False
) -> Proxy | None:
    """Find the proxy for a destination in the environment; None for a direct connection.

    :param plain: what is spoken with the destination is HTTP without TLS.
    :raise BadProxy: a variable can't be used; the message names it.
    """
    host = canonical_host(host)
    if is_loopback(host) or _is_excepted(_first(environment, _EXCEPTIONS)[1], host, port):
        return None
    name, text = _first(environment, _PLAIN_NAMES if plain else _NAMES)
    if not text:
        return None
    try:
        return read_proxy(text)
    except BadProxy as error:
        raise BadProxy(f"{name}: {error}") from None


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    for name in names:
        if value := environment.get(name, "").strip():
            return name, value
    return "", ""


def _is_excepted(text: str, host: str, port: int) -> bool:
    return any(_excepts(one, host, port) for one in re.split(r"[,\s]+", text) if one)


def _excepts(entry: str, host: str, port: int) -> bool:
    """Tell whether an entry of NO_PROXY names a destination.

    Understood are ``*``, a name and all names below it, an address, a network, and each of them
    with a port.
    """
    if entry == "*":
        return True
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*):(\d+)", entry)
    if match is not None:
        if int(match[2]) != port:
            return False
        entry = match[1]
    address = read_address(host)
    if address is not None:
        try:
            return address in ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            return False
    domain = canonical_host(entry.lstrip("*").lstrip("."))
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _quoted(text: str) -> str:
    return quote(text, safe="")

"""A cache of providers' published configuration: endpoints, and keys as they rotate.

OpenID Connect Discovery 1.0; RFC 8414; RFC 7517.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from attrs import define, frozen
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from tunnelcloud.domain.addresses import is_loopback, read_address
from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.net.fetching import Fetch, Fetched
from tunnelcloud.net.foreign_json import read_foreign_json
from tunnelcloud.pki.public_keys import is_costly
from tunnelcloud.web.oidc.faults import ProviderFault
from tunnelcloud.web.oidc.provider_requests import Once, ask

_KEPT_SECONDS = 3600.0
_KEYS_NOT_SOONER = 30.0
_NOT_ASKED_AGAIN = 5.0
_MAX_KEYS = 64
_MOST_SAID = 128 * 1024
"""How many bytes an answer may have before it is read as JSON.  The reactor's thread takes twenty
milliseconds for as many brackets."""

_LONGEST_MODULUS = 1400
"""How many characters the modulus of a published key may have: 8,192 bits have 1,366."""

_PUBLIC = ("kty", "kid", "use", "alg", "crv", "n", "e", "x", "y")
"""The members of a published key that are read: those of a public key.  A provider may publish a
private key by mistake or on purpose; to check a private RSA key takes seconds."""
# Public keys only: with HS256 a published key could be taken for the secret, and "none" is none.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "Ed25519",
)  # fmt: skip
Keys = tuple[Key, ...]
_WELL_KNOWN = "/.well-known/openid-configuration"


@frozen
class Metadata:
    """A provider's published configuration, as far as it is needed here.

    :ivar answers_with_issuer: whether every answer of its names it (RFC 9207).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    posts_secret: bool
    answers_with_issuer: bool


@define
class _Kept:
    metadata: Metadata
    at: float
    keys: Keys | None = None
    keys_again_at: float = float("-inf")


def is_usable_address(address: object, issuer: str) -> bool:
    """Tell whether an address may be asked: HTTPS, or this machine if the issuer is here too."""
    if not isinstance(address, str) or not re.fullmatch(r"[!-~]{1,2000}", address):
        return False
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username or parts.fragment:
        return False
    if _is_inside(host) and folded(host) != folded(urlsplit(issuer).hostname or ""):
        return False  # a provider elsewhere has no business with addresses within this network
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and is_loopback(host) and issuer.startswith("http://")


def _is_inside(host: str) -> bool:
    """Tell whether a host is written as an address that isn't public, or is this machine.

    The system's resolver takes ``127.1`` and ``2130706433`` for addresses, too, and a dot at the
    end of a name.
    """
    host = host.rstrip(".")
    with suppress(OSError):
        host = socket.inet_ntoa(socket.inet_aton(host))
    address = read_address(host)
    return is_loopback(host) or (address is not None and not address.is_global)


class Directory:
    """Finds out about providers by their issuers.

    :param now: gives the seconds of a clock that never goes back.
    """

    def __init__(self, fetch: Fetch, now: Callable[[], float]) -> None:
        self._fetch = fetch
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._faults: dict[str, tuple[float, ProviderFault]] = {}
        self._discovering: Once[_Kept] = Once()
        self._reading_keys: Once[Keys] = Once()

    async def metadata(self, issuer: str) -> Metadata:
        """Return a provider's published configuration, an hour old at most.

        :raise ProviderFault: it can't be reached, or says what can't be used.
        """
        return (await self._about(issuer)).metadata

    async def check(self, issuer: str) -> Metadata:
        """Ask a provider now, whatever is kept, for all that a sign-in needs.

        :raise ProviderFault: people can't come through it.
        """
        kept = await self._discovering.get(issuer, lambda: self._discover(issuer))
        kept.keys = await self._reading_keys.get(issuer, lambda: self._read_keys(kept.metadata))
        return kept.metadata

    async def keys(self, issuer: str, *, again: bool = False) -> Keys:
        """Give the keys that a provider signs with.

        :param again: those that are kept don't serve: they are read again, but not sooner than so
            long after the last time that was so, whatever anybody sends us.
        """
        kept = await self._about(issuer)
        if again and self._now() - kept.keys_again_at >= _KEYS_NOT_SOONER:
            kept.keys_again_at = self._now()
            kept.keys = None
        if kept.keys is None:
            kept.keys = await self._reading_keys.get(issuer, lambda: self._read_keys(kept.metadata))
        return kept.keys

    async def _about(self, issuer: str) -> _Kept:
        kept = self._kept.get(issuer)
        if kept is not None and self._now() - kept.at <= _KEPT_SECONDS:
            return kept
        failed_at, fault = self._faults.get(issuer, (float("-inf"), None))
        if fault is not None and self._now() - failed_at < _NOT_ASKED_AGAIN:
            # Anybody can press a button: not each press is a question to somebody else.
            raise fault
        return await self._discovering.get(issuer, lambda: self._discover(issuer))

    async def _discover(self, issuer: str) -> _Kept:
        address = issuer.rstrip("/") + _WELL_KNOWN
        try:
            metadata = _read_metadata(issuer, await self._get(address))
        except ProviderFault as error:
            self._faults[issuer] = self._now(), error
            raise
        self._faults.pop(issuer, None)
        self._kept[issuer] = made = _Kept(metadata, self._now())
        return made

    async def _read_keys(self, metadata: Metadata) -> Keys:
        found = await self._get(metadata.jwks_uri)
        keys = found.get("keys")
        listed = keys[:_MAX_KEYS] if isinstance(keys, list) else []
        usable = tuple(key for key in map(_usable_key, listed) if key is not None)
        if not usable:
            raise ProviderFault("keys", f"{metadata.jwks_uri} publishes no key that can be used.")
        return usable

    async def _get(self, address: str) -> dict[str, Any]:
        fetched = await ask(self._fetch, "GET", address, {"Accept": "application/json"})
        return read_object(fetched, address)


def _usable_key(found: object) -> Key | None:
    """Read one published key; None for one of another kind, or for another use."""
    # A shared secret has no place among published keys: none of theirs is taken for one.
    if not isinstance(found, dict) or found.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    operations = found.get("key_ops") or ["verify"]
    verifies = isinstance(operations, list) and "verify" in operations
    if found.get("use", "sig") != "sig" or not verifies:
        return None
    if found.get("alg", ALGORITHMS[0]) not in ALGORITHMS:
        return None
    if len(str(found.get("n", ""))) > _LONGEST_MODULUS:
        return None
    try:
        key = JWKRegistry.import_key({name: found[name] for name in _PUBLIC if name in found})
        return None if is_costly(key.get_op_key("verify")) else key
    except (JoseError, ValueError, KeyError, TypeError):
        return None


def read_object(fetched: Fetched, address: str) -> dict[str, Any]:
    """Read an answer that has to be a JSON object.

    :raise ProviderFault: it is another status, or something else, or too long.
    """
    if fetched.status != 200:
        raise ProviderFault(
            "unreachable", f"The provider answered {fetched.status} at {address} instead of 200."
        )
    if len(fetched.body) > _MOST_SAID:
        raise ProviderFault(
            "metadata", f"What {address} answered is longer than {_MOST_SAID} bytes."
        )
    try:
        found = read_foreign_json(fetched.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ProviderFault("metadata", f"What {address} answered is not a JSON object.")
    return found


def _read_metadata(issuer: str, found: dict[str, Any]) -> Metadata:
    if found.get("issuer") != issuer:
        raise ProviderFault(
            "issuer",
            f"The provider calls itself {str(found.get('issuer'))[:200]!r}, not {issuer!r}.",
            "An administrator of TunnelCloud has to set the provider's issuer exactly as it calls "
            "itself.",
        )
    endpoints: dict[str, str | None] = {}
    for name, needed in [
        ("authorization_endpoint", True),
        ("token_endpoint", True),
        ("jwks_uri", True),
        ("userinfo_endpoint", False),
        ("end_session_endpoint", False),
    ]:
        address = found.get(name)
        if is_usable_address(address, issuer):
            endpoints[name] = address
        elif needed:
            raise ProviderFault("metadata", f"The provider publishes no usable {name}.")
        else:
            endpoints[name] = None
    methods = found.get("token_endpoint_auth_methods_supported")
    if not isinstance(methods, list):
        methods = ["client_secret_basic"]  # as if the provider didn't say
    return Metadata(
        issuer=issuer,
        authorization_endpoint=str(endpoints["authorization_endpoint"]),
        token_endpoint=str(endpoints["token_endpoint"]),
        jwks_uri=str(endpoints["jwks_uri"]),
        userinfo_endpoint=endpoints["userinfo_endpoint"],
        end_session_endpoint=endpoints["end_session_endpoint"],
        posts_secret="client_secret_basic" not in methods and "client_secret_post" in methods,
        answers_with_issuer=found.get("authorization_response_iss_parameter_supported") is True,
    )

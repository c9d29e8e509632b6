"""ID tokens, believed only when everything about them is right (OpenID Connect Core, 3.1.3.7)."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from attrs import frozen
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from tunnelcloud.net.foreign_json import refuse_halves
from tunnelcloud.web.oidc.directory import ALGORITHMS, Directory
from tunnelcloud.web.oidc.faults import IF_AGAIN, START_AGAIN, ProviderFault

_LEEWAY = 60
_OLDEST = 15 * 60
_UNREADABLE = (JoseError, ValueError, TypeError, RecursionError)
"""What the library raises for tokens that others made up; it has no limit to how deep they nest."""

_MOST_TRIED = 10
"""How many keys a token is tried with at most: a try with a key on P-521 takes a millisecond.  A
provider that has several keys names one in each token."""

_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""Which keys an algorithm is for, by its first letters."""


@frozen
class Expected:
    """What an ID token has to say.

    :ivar now: the time, in seconds since the epoch.
    """

    issuer: str
    client_id: str
    nonce: str
    now: float


async def read_id_token(
    text: object, directory: Directory, expected: Expected
) -> Mapping[str, Any]:
    """Give the claims of an ID token.

    :raise ProviderFault: it can't be believed.
    """
    if not isinstance(text, str):
        raise ProviderFault("id_token", "The provider sent no ID token.")
    claims = await _verified(text, directory, expected.issuer)
    _check_claims(claims, expected)
    return claims


async def _verified(text: str, directory: Directory, issuer: str) -> dict[str, Any]:
    untrusted = ProviderFault(
        "signature",
        "What the provider says about you is not signed by a key that it publishes.",
        f"Don't go on. {START_AGAIN} {IF_AGAIN}",
    )
    try:
        header = jws.extract_compact(text.encode("utf-8", "replace")).headers()
    except _UNREADABLE:
        raise untrusted from None
    keys = await directory.keys(issuer)
    claims = _decoded(text, keys, header)
    if claims is None:
        # It has a new key, maybe under the id of an old one.
        keys = await directory.keys(issuer, again=True)
        claims = _decoded(text, keys, header)
    if claims is None:
        raise untrusted
    try:
        refuse_halves(claims)
    except ValueError:
        raise ProviderFault(
            "characters", "What the provider says about you has half of a character in it."
        ) from None
    return claims


def _decoded(text: str, keys: Iterable[Key], header: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a token's claims if one of the keys signed it; None otherwise.

    A token whose header names no key is tried with the first ``_MOST_TRIED`` keys of its type.
    """
    key_id, key_type = header.get("kid"), _KEY_TYPES.get(str(header.get("alg"))[:2])
    fitting = (
        key
        for key in keys
        if key.key_type == key_type and (not isinstance(key_id, str) or key.kid == key_id)
    )
    for key in islice(fitting, _MOST_TRIED):
        try:
            return jwt.decode(text, key, algorithms=ALGORITHMS).claims
        except _UNREADABLE:
            continue
    return None


def _check_claims(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise ProviderFault(
            "issuer", "What the provider says about you was issued by another provider."
        )
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    party = claims.get("azp", expected.client_id)
    if expected.client_id not in audiences or party != expected.client_id:
        raise ProviderFault(
            "audience", "What the provider says about you is meant for another application."
        )
    expires, issued = claims.get("exp"), claims.get("iat")
    if not _is_time(expires) or not _is_time(issued):
        raise ProviderFault("expiry", "What the provider says about you has no time.")
    assert expires is not None
    assert issued is not None
    if expires + _LEEWAY <= expected.now or issued + _OLDEST <= expected.now:
        raise ProviderFault(
            "expiry", "What the provider says about you is out of date.",
            f"{START_AGAIN} If it happens again, the clock of the provider or of the pod is wrong: "
            "tell an administrator of TunnelCloud.",
        )  # fmt: skip
    if issued - _LEEWAY > expected.now:
        raise ProviderFault(
            "expiry", "What the provider says about you is from the future.",
            "The clock of the provider or of the pod is wrong: tell an administrator of "
            "TunnelCloud.",
        )  # fmt: skip
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode("utf-8", "replace"), expected.nonce.encode("ascii")
    ):
        raise ProviderFault(
            "nonce", "What the provider says about you belongs to another sign-in.", START_AGAIN
        )
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= 255 or "\x00" in subject:
        raise ProviderFault("subject", "The provider doesn't say who you are.")


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12

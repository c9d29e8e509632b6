"""Reads a provider's claims about a person: the name, the e-mail, and the groups.

Providers differ: a name may be an e-mail address, ``email_verified`` a text, groups an object, a
nested claim, or elsewhere because there are too many.  A missing claim doesn't count as an empty
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from tunnelcloud.domain.names import BadName, read_email
from tunnelcloud.domain.objects.identity_providers import IdentityProvider

MAX_GROUPS = 1000


@frozen
class Claims:
    """Who somebody is, as a provider says.

    :ivar names: what may name the user, the best first: the claim's text, and the first part of
        the e-mail address; each may be empty.
    :ivar email: set only if the provider verified it.
    :ivar groups: the values of the provider's groups claim; None when they aren't known.
    :ivar groups_unknown: why they aren't known; empty where no claim is asked for.
    :ivar said: all that the provider said.
    """

    subject: str
    names: tuple[str, ...]
    title: str
    email: str | None
    groups: frozenset[str] | None
    groups_unknown: str = ""
    said: Mapping[str, Any] = field(factory=dict)


def read_claims(provider: IdentityProvider, claims: Mapping[str, Any]) -> Claims:
    """Read the claims of an ID token, with those of the userinfo endpoint."""
    verified = _email(claims) if _is_verified(claims.get("email_verified")) else None
    named = _text(value_at(claims, provider.name_claim), 254) if provider.name_claim else ""
    address = (verified or "").partition("@")[0]
    groups, unknown = _groups(claims, provider.groups_claim)
    return Claims(
        subject=claims["sub"],
        # Also where nothing is named, the address stays second: it is never a user's own name.
        names=(named, address),
        title=_text(claims.get("name"), 200),
        email=verified,
        groups=groups,
        groups_unknown=unknown,
        said=claims,
    )


def value_at(claims: Mapping[str, Any], path: str) -> Any:
    """Find a claim by its name, or within others: ``realm_access.roles``.

    A name may have dots of its own, as those that are URLs do; it is looked for first.
    """
    if path in claims:
        return claims[path]
    for place, character in enumerate(path):
        inner = claims.get(path[:place]) if character == "." else None
        if isinstance(inner, Mapping):
            found = value_at(inner, path[place + 1 :])
            if found is not None:
                return found
    return None


def _groups(claims: Mapping[str, Any], claim: str) -> tuple[frozenset[str] | None, str]:
    """Return the groups; or None, and why they aren't known."""
    if not claim:
        return None, ""
    elsewhere = claims.get("_claim_names")
    if (isinstance(elsewhere, Mapping) and claim in elsewhere) or claims.get("hasgroups") is True:
        return None, "there are more groups than the provider puts into its answer"
    found = value_at(claims, claim)
    if found is None:
        return None, f"the provider's answer has no claim {claim}"
    listed = list(found) if isinstance(found, list | Mapping) else [found]
    if len(listed) > MAX_GROUPS:
        return None, f"the claim {claim} has more than {MAX_GROUPS} groups"
    groups = frozenset(one for one in listed if isinstance(one, str))
    if listed and not groups:
        return None, f"the claim {claim} holds no text"
    return groups, ""


def _is_verified(value: object) -> bool:
    """Tell whether an e-mail address is verified; some providers write the word."""
    return value is True or value == "true"


def _email(claims: Mapping[str, Any]) -> str | None:
    """Read the e-mail address as one that is typed in here; None if it can't be one."""
    try:
        return read_email(_text(claims.get("email"), 254))
    except BadName:
        return None


def _text(value: object, longest: int) -> str:
    return value.strip()[:longest] if isinstance(value, str) and "\x00" not in value else ""

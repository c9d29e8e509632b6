"""Sites, groups and policies by the names that people type where a form refers to one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.groups import GROUPS
from tunnelcloud.store.object_reads import Listing
from tunnelcloud.store.policies import POLICIES
from tunnelcloud.store.sites import SITES
from tunnelcloud.store.transaction import Transaction

REFERRED: Mapping[str, Listing[Any]] = {"site": SITES, "group": GROUPS, "policy": POLICIES}
"""What can be referred to, by the noun of its kind."""

_SUGGESTED = 50
_SIMILAR = 3
_LONGEST = 200


class Unclear(LookupError):
    """A typed name means none of the objects; the message says which names are similar."""


def names_like(transaction: Transaction, kind: str, wanted: str = "") -> list[str]:
    """List the first names that a text may be meant for."""
    return _like(transaction, kind, wanted, _SUGGESTED)


def _like(transaction: Transaction, kind: str, wanted: str, limit: int) -> list[str]:
    page = REFERRED[kind].list_page(transaction, sort="name", limit=limit, q=wanted or None)
    return [one.name for one in page.items]


def id_of(transaction: Transaction, kind: str, typed: str) -> str:
    """Give the id of the object with a name; an id is taken as well.

    :raise Unclear: there is none.
    """
    if not typed:
        raise Unclear(f"name a {kind}")
    try:
        return str(REFERRED[kind].find(transaction, typed).id)
    except NotFound:
        raise Unclear(_refusal(transaction, kind, typed[:_LONGEST])) from None


def _refusal(transaction: Transaction, kind: str, typed: str) -> str:
    found = _like(transaction, kind, typed, _SIMILAR + 1)
    text = f"there is no {kind} {typed}"
    if not found:
        return text
    if len(found) == 1:
        return f"{text}: did you mean {found[0]}?"
    more = " or another one" if len(found) > _SIMILAR else ""
    return f"{text}, but several are similar: {', '.join(found[:_SIMILAR])}{more}"


def with_ids(
    transaction: Transaction, kinds: Mapping[str, str], body: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Put ids in place of the names in the body of an operation.

    :param kinds: the kinds of the fields that refer to something; None there refers to nothing.
    :return: the body, and what is wrong with a field.
    """
    ids, errors = dict[str, str](), dict[str, str]()
    for name, kind in kinds.items():
        if body.get(name) is not None:
            try:
                ids[name] = id_of(transaction, kind, body[name])
            except Unclear as error:
                errors[name] = str(error)
    return {**body, **ids}, errors


def with_names(
    transaction: Transaction, kinds: Mapping[str, str], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Put names in place of ids in the fields of a form; what else was typed there stays."""
    names = dict[str, str]()
    for name, kind in kinds.items():
        if fields.get(name):
            try:
                names[name] = REFERRED[kind].find(transaction, fields[name]).name
            except NotFound:
                continue
    return {**fields, **names}

"""Assignments to a group or under a policy, with the names that pages show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import asdict, frozen

from tunnelcloud.domain.entities import Assignment
from tunnelcloud.store import assignments, user_views
from tunnelcloud.store.transaction import Transaction

_MOST = 50
_NAMED = ("user", "group", "policy")


@frozen
class Assigned:
    """Assignments, and the names of their objects, by id.

    :ivar holders: the names of users, groups and policies.
    """

    assignments: Sequence[Assignment]
    tunnels: Mapping[str, str]
    policies: Mapping[str, str]
    holders: Mapping[str, str]


def of_group(transaction: Transaction, group_id: str) -> Assigned:
    """List what is assigned to a group."""
    return _named(transaction, group_id=group_id)


def of_policy(transaction: Transaction, policy_id: str) -> Assigned:
    """List what is assigned under a policy."""
    return _named(transaction, policy_id=policy_id)


def names_of_all(transaction: Transaction, assigned: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Give the names of the users, groups and policies of assignments by their ids."""
    given, found = list(assigned), dict[str, str]()
    for kind in _NAMED:
        ids = [one[f"{kind}_id"] for one in given if one.get(f"{kind}_id")]
        found |= user_views.names_of(transaction, kind, ids)
    return found


def _named(transaction: Transaction, **of: str) -> Assigned:
    found = assignments.list_page(transaction, limit=_MOST, **of).items
    policies = [one.policy_id for one in found if one.policy_id]
    return Assigned(
        found,
        user_views.names_of(transaction, "tunnel", [one.tunnel_id for one in found]),
        user_views.names_of(transaction, "policy", policies),
        names_of_all(transaction, map(asdict, found)),
    )

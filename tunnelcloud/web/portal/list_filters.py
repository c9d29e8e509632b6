"""The filters of the administration's lists, besides the search.

A filter stands in a list's address as the API's query has it, so that an address can be kept and
sent; but a site or a group stands there by its name, and "not used for so long" in days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from attrs import frozen

from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.store import preferences
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.references import REFERRED, names_like
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal.page_requests import Visit

UNUSED = timedelta(days=90)
"""The filter for objects that weren't used for a long time."""

_LONGEST = 200
_DAYS = str(UNUSED.days)


@frozen
class ListFilter:
    """One filter of a list.

    :ivar choices: its values, and what each is called; empty where a name is typed.
    """

    name: str
    label: str
    choices: Sequence[tuple[str, str]] = ()

    def said(self, value: str) -> str:
        """Return the words for a value."""
        return dict(self.choices).get(value, value)


_SITE = ListFilter("site", "Site")
_UNUSED = ListFilter("unused", "Use", ((_DAYS, f"not used for {_DAYS} days"),))
_ASSIGNED = ("true", "somebody"), ("false", "nobody")
FILTERS: Mapping[str, Sequence[ListFilter]] = {
    "tunnel": (
        ListFilter("enabled", "State", (("true", "on"), ("false", "off"))),
        _SITE,
        ListFilter("assigned", "Assigned to", _ASSIGNED),
        ListFilter("group", "Group"),
        ListFilter("method", "Method", (("token", "one-time token"), ("key", "SSH key"))),
        _UNUSED,
    ),
    "site": (
        ListFilter("has_connectors", "Connectors", (("true", "some"), ("false", "none"))),
        ListFilter("has_tunnels", "Tunnels", (("true", "some"), ("false", "none"))),
    ),
    "connector": (
        _SITE,
        ListFilter("joined", "State", (("true", "has joined"), ("false", "waiting to join"))),
    ),
    "user": (
        ListFilter("blocked", "State", (("false", "active"), ("true", "blocked"))),
        ListFilter("role", "Role", (("admin", "admin"), ("auditor", "auditor"), ("user", "user"))),
        ListFilter("group", "Group"),
        ListFilter("second_factor", "Second factor", (("true", "on"), ("false", "off"))),
        ListFilter("service", "Kind", (("false", "person"), ("true", "service account"))),
        _UNUSED,
    ),
    "group": (
        ListFilter("has_members", "Members", (("true", "some"), ("false", "none"))),
        ListFilter("assigned", "Tunnels", (("true", "some"), ("false", "none"))),
    ),
    "policy": (ListFilter("used", "Assignments", (("true", "some"), ("false", "none"))),),
}
"""By the noun of what is listed."""


def given_filters(noun: str, visit: Visit) -> dict[str, str]:
    """Read the filters in the address of a list; a value that is no choice is ignored."""
    given = {}
    for one in FILTERS.get(noun, ()):
        value = visit.query.get(one.name, "").strip()[:_LONGEST]
        if value and (not one.choices or value in dict(one.choices)):
            given[one.name] = value
    return given


def asked_of_api(
    transaction: Transaction, given: Mapping[str, str], now: datetime
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the filters as the API has them, and the faults of some.

    :param given: as ``given_filters`` reads them.
    """
    query, errors = dict[str, str](), dict[str, str]()
    for name, value in given.items():
        if name in REFERRED:
            try:
                found = REFERRED[name].find(transaction, folded(value))
                query[f"{name}_id"] = found.id
            except NotFound:
                errors[name] = f"there is no {name} {value}"
        elif name == "unused":
            days = preferences.settings(transaction).session_retention_days
            kept = UNUSED if days is None else min(UNUSED, timedelta(days=days))
            query["unused_since"] = (now - kept).isoformat()
        else:
            query[name] = value
    return query, errors


def suggested_names(transaction: Transaction, noun: str) -> dict[str, list[str]]:
    """List the first names that a list's filters may be meant for, by the filters' names."""
    wanted = [one.name for one in FILTERS.get(noun, ()) if one.name in REFERRED]
    return {name: names_like(transaction, name) for name in wanted}


def chips_of(noun: str, q: str, given: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Name each filter in use: its label, its value, and the query of the list without it."""
    return [
        (
            one.label,
            one.said(given[one.name]),
            urlencode(
                {"q": q, **{name: value for name, value in given.items() if name != one.name}}
            ),
        )
        for one in FILTERS.get(noun, ())
        if one.name in given
    ]


def shown_filters(
    noun: str, q: str, given: Mapping[str, str], names: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return the filters that a list's page shows.

    :param names: as ``suggested_names`` lists them.
    """
    return {
        "filters": FILTERS.get(noun, ()),
        "given": given,
        "names": names,
        "chips": chips_of(noun, q, given),
        "kept": urlencode({"q": q, **given}),
    }

"""Users and groups by the names that people type for whom a tunnel is assigned to."""

from __future__ import annotations

from typing import Any

from tunnelcloud.store import groups, users
from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.transaction import Transaction

_SUGGESTED = 20
_GROUP, _USER = "group:", "user:"


class Nobody(LookupError):
    """A typed name means no user and no group, or both; the message says what to do."""


def suggested(transaction: Transaction, wanted: str, kinds: str = "all") -> list[str]:
    """List names that a text may be meant for.

    :param kinds: ``users``, or ``all`` for groups, too.
    """
    text = wanted.removeprefix(_GROUP).removeprefix(_USER)
    asked: dict[str, Any] = {"limit": _SUGGESTED, "sort": "name", "q": text or None}
    found = [user.name for user in users.list_page(transaction, **asked).items]
    if kinds == "users":
        return found
    return [*(f"{_GROUP}{one.name}" for one in groups.list_page(transaction, **asked).items),
            *found]  # fmt: skip


def resolve(transaction: Transaction, text: str) -> dict[str, str]:
    """Tell who is meant.

    :return: ``user_id`` or ``group_id``.
    :raise Nobody: it can't be told.
    """
    user = _find_user(transaction, text.removeprefix(_USER)) if _GROUP not in text else None
    group = _find_group(transaction, text.removeprefix(_GROUP)) if _USER not in text else None
    text = text[:320]
    if user and group:
        raise Nobody(f"there is a user and a group {text}: write user:{text} or group:{text}")
    if user:
        return {"user_id": user}
    if group:
        return {"group_id": group}
    raise Nobody(f"there is no user and no group {text}")


def _find_user(transaction: Transaction, name: str) -> str | None:
    try:
        return users.find(transaction, name).id
    except NotFound:
        return None


def _find_group(transaction: Transaction, name: str) -> str | None:
    try:
        return groups.find(transaction, name).id
    except NotFound:
        return None

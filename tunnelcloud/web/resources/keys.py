"""SSH keys: a user's own below ``/me``, anybody's below ``/users``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tunnelcloud.domain import entities
from tunnelcloud.store import keys, users
from tunnelcloud.store.paging import ListPage
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.credentials import Key, KeyChange, NewKey
from tunnelcloud.web.models.fields import PageQuery
from tunnelcloud.web.models.plain_values import values_as
from tunnelcloud.web.problems import conflict
from tunnelcloud.web.resources.collection import Kind, collection_routes
from tunnelcloud.web.resources.context import OWN, ApiContext, owned_by
from tunnelcloud.web.routes import Route


def check_expiry(transaction: Transaction, expires_at: datetime | None) -> None:
    """Refuse a time of expiry that is over.

    :raise Problem: 409.
    """
    if expires_at is not None and expires_at <= transaction.now():
        raise conflict("expires_at", "must be in the future")


def _list_page(transaction: Transaction, *, user_id: str, **filters: Any) -> ListPage[entities.Key]:
    users.get(transaction, user_id)
    return keys.list_page(transaction, user_id=user_id, **filters)


def _create(
    transaction: Transaction,
    *,
    user_id: str,
    expires_at: datetime | None = None,
    **values: Any,
) -> entities.Key:
    users.get(transaction, user_id)
    check_expiry(transaction, expires_at)
    return keys.create(transaction, user_id=user_id, expires_at=expires_at, **values)


def _update(
    transaction: Transaction, key_id: str, changes: dict[str, Any], *, expected_version: str | None
) -> entities.Key:
    check_expiry(transaction, changes.get("expires_at"))
    return keys.update(transaction, key_id, changes, expected_version=expected_version)


KEY = Kind(
    noun="key",
    plural="keys",
    shown=Key,
    new=NewKey,
    change=KeyChange,
    query=PageQuery,
    get=keys.get,
    list_page=_list_page,
    create=_create,
    update=_update,
    delete=keys.delete,
    show=values_as(Key),
    texts={
        "list": "List {whose} SSH keys.",
        "create": "Register one of {whose} SSH public keys.",
        "show": "Show one of {whose} SSH keys.",
        "change": "Change the title or the expiry of one of {whose} SSH keys.",
        "delete": "Revoke one of {whose} SSH keys.",
    },
)


def make_routes(context: ApiContext) -> list[Route]:
    """Make the rows for SSH keys."""
    return [
        *collection_routes(context, KEY, owned_by("user", "a user's")),
        *collection_routes(context, KEY, OWN),
    ]

"""SSH keys: a user's own below ``/me``, anybody's below ``/users``."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from attrs import frozen

from tunnelcloud.domain import entities
from tunnelcloud.store import keys, users
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.credentials import Key, KeyChange, NewKey
from tunnelcloud.web.models.fields import Page, PageQuery
from tunnelcloud.web.problems import conflict
from tunnelcloud.web.resources.collection import (
    expected_version,
    item_of,
    listed,
)
from tunnelcloud.web.resources.context import A_USERS, OWN, ApiContext, Whose
from tunnelcloud.web.routes import Call, Item, Listed, Route


def key_routes(context: ApiContext) -> list[Route]:
    """Make the rows for SSH keys."""
    return [*_rows(_Keys(context, A_USERS)), *_rows(_Keys(context, OWN))]


def _rows(handlers: _Keys) -> list[Route]:
    own, read, write = handlers.whose.own, handlers.whose.readers, handlers.whose.writers
    whose = "one's own" if own else "a user's"
    path = f"{handlers.whose.path}/keys"
    one = f"{path}/{{key_id}}"
    return [
        Route(
            "GET",
            path,
            f"list_{own}keys",
            f"List {whose} SSH keys.",
            read,
            handlers.list_all,
            query=PageQuery,
            answer=Page[Key],
        ),
        Route(
            "POST",
            path,
            f"create_{own}key",
            f"Register one of {whose} SSH public keys.",
            write,
            handlers.create,
            body=NewKey,
            answer=Key,
            status=HTTPStatus.CREATED,
            item=True,
        ),
        Route(
            "GET",
            one,
            f"show_{own}key",
            f"Show one of {whose} SSH keys.",
            read,
            handlers.show,
            answer=Key,
            item=True,
        ),
        Route(
            "PATCH",
            one,
            f"change_{own}key",
            f"Change the title or the expiry of one of {whose} SSH keys.",
            write,
            handlers.change,
            body=KeyChange,
            answer=Key,
            item=True,
        ),
        Route(
            "DELETE",
            one,
            f"delete_{own}key",
            f"Revoke one of {whose} SSH keys.",
            write,
            handlers.delete,
            item=True,
        ),
    ]


def check_expiry(transaction: Transaction, expires_at: datetime | None) -> None:
    """Refuse a time of expiry that is over.

    :raise Problem: 409.
    """
    if expires_at is not None and expires_at <= transaction.now():
        raise conflict("expires_at", "must be in the future")


@frozen
class _Keys:
    context: ApiContext
    whose: Whose

    def _get(self, transaction: Transaction, call: Call) -> entities.Key:
        return keys.get(transaction, call.params["key_id"], user_id=self.whose.user_id(call))

    def _version(self, transaction: Transaction, call: Call) -> str | None:
        found = self._get(transaction, call)
        return expected_version(transaction, keys.get, found.id, call.if_match)

    async def list_all(self, call: Call) -> Listed:
        filters = call.query_as(PageQuery).filters()
        owner = self.whose.user_id(call)

        def work(transaction: Transaction) -> Any:
            users.get(transaction, owner)
            return keys.list_page(transaction, user_id=owner, **filters)

        page = await self.context.store.read(work)
        return listed(self.context, page, Key.model_validate)

    async def create(self, call: Call) -> Item:
        body = call.body_as(NewKey)
        owner = self.whose.user_id(call)

        def work(transaction: Transaction) -> entities.Key:
            users.get(transaction, owner)
            check_expiry(transaction, body.expires_at)
            return keys.create(
                transaction,
                user_id=owner,
                public_key=body.public_key,
                title=body.title,
                expires_at=body.expires_at,
            )

        return item_of(await self.context.acting(call).write(work), Key.model_validate)

    async def show(self, call: Call) -> Item:
        return item_of(await self.context.store.read(self._get, call), Key.model_validate)

    async def change(self, call: Call) -> Item:
        values = call.body_as(KeyChange).given()

        def work(transaction: Transaction) -> entities.Key:
            version = self._version(transaction, call)
            check_expiry(transaction, values.get("expires_at"))
            object_id = call.params["key_id"]
            return keys.update(transaction, object_id, values, expected_version=version)

        return item_of(await self.context.acting(call).write(work), Key.model_validate)

    async def delete(self, call: Call) -> None:
        def work(transaction: Transaction) -> None:
            version = self._version(transaction, call)
            keys.delete(transaction, call.params["key_id"], expected_version=version)

        await self.context.acting(call).write(work)

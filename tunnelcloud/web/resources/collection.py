"""The five operations that every kind of object has, made from one description of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from attrs import field, frozen
from pydantic import BaseModel

from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.object_writes import version_of
from tunnelcloud.store.paging import ListPage
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.models.fields import Body, Page, PageQuery, Shown
from tunnelcloud.web.models.plain_values import plain_values
from tunnelcloud.web.resources.context import ANYBODYS, ApiContext, Whose
from tunnelcloud.web.routes import Call, Handler, Item, Listed, Route

Read = Callable[..., Any]
Show = Callable[[Any], BaseModel | Mapping[str, Any]]
Shower = Callable[[Transaction, Sequence[Any]], Show]
"""Reads what is shown of some entities beside their settings, and gives what shows them."""

Afterwards = Callable[[ApiContext, AsyncStore, Any], Awaitable[Any]]
Warn = Callable[[ApiContext, Any, Collection[str]], Awaitable[list[str]]]

TEXTS = {
    "list": "List {plural}.",
    "create": "Create {one}.",
    "show": "Show {one}.",
    "change": "Change some fields of {one}.",
    "delete": "Delete {one}, and what belongs to it alone.",
}
"""What operations say of themselves, by their verbs."""


@frozen
class Kind:
    """A kind of object: its words, its models, and the store's functions for it.

    :ivar noun: as in the audit, such as ``api_token``.
    :ivar plural: as in the path, such as ``api-tokens``.
    :ivar change: the model of a change; None when an object never changes.
    :ivar show: gives the plain values of an entity, or a model of it; None with a ``shower``.
    :ivar made: the model that shows a new object and its secret, once.
    :ivar answered: what is shown of an object that was just made or changed, with ``warnings``.
    :ivar warn: gives those, of an object and the names of the fields that were given.
    :ivar afterwards: what is done once an object was made or changed, by whoever did that; gives
        the object as it is then.
    :ivar shower: for a kind of which more is shown than its entities have.
    :ivar texts: what its operations say of themselves, where that isn't the same as for others.
    """

    noun: str
    plural: str
    shown: type[Shown]
    new: type[Body]
    change: type[Body] | None
    query: type[PageQuery]
    get: Read
    list_page: Read
    create: Read
    update: Read | None
    delete: Read
    show: Show | None
    article: str = field(default="a")
    made: type[Shown] | None = None
    answered: type[Shown] | None = None
    warn: Warn | None = None
    afterwards: Afterwards | None = None
    _shower: Callable[[ApiContext], Shower] | None = None
    texts: Mapping[str, str] = field(default=TEXTS)

    def shower(self, context: ApiContext) -> Shower:
        """Give what shows entities; to be asked for in the reactor's thread."""
        if self._shower is not None:
            return self._shower(context)
        show = self.show
        assert show is not None
        return lambda *_: show

    @property
    def words(self) -> str:
        """Give the noun as people write it."""
        return self.noun.replace("_", " ").replace("api ", "API ")

    def text(self, verb: str, whose: Whose) -> str:
        """Say what an operation does."""
        plural, one = self.plural.replace("-", " "), f"{self.article} {self.words}"
        return self.texts[verb].format(plural=plural, one=one, whose=whose.possessive)


def expected_version(
    transaction: Transaction, get: Read, object_id: str, versions: tuple[str, ...]
) -> str | None:
    """Choose the version in ``If-Match`` that the object must have."""
    if not versions:
        return None
    current = version_of(get(transaction, object_id))
    return current if current in versions else versions[0]


def page_reader(list_page: Read, **arguments: Any) -> Callable[[Transaction], ListPage[Any]]:
    """Make the store function that reads a page of a list."""
    return lambda transaction: list_page(transaction, **arguments)


def listed(context: ApiContext, page: ListPage[Any], show: Show) -> Listed:
    """Show a page of a list.

    :param show: may be called in any thread.
    """
    return Listed(page.items, page.next_cursor, show, context.showing.run)


def item_of(entity: Any, show: Show) -> Item:
    """Show one object, with its version."""
    return Item(show(entity), version_of(entity))


async def answer_of(
    context: ApiContext, kind: Kind, entity: Any, show: Show, given: Collection[str]
) -> Item:
    """Show an object that was just made or changed, with what is to be said of it."""
    if kind.answered is None or kind.warn is None:
        return item_of(entity, show)
    warnings = await kind.warn(context, entity, given)
    return Item({**plain_values(show(entity)), "warnings": warnings}, version_of(entity))


def with_show(
    work: Callable[[Transaction], Any], shower: Shower
) -> Callable[[Transaction], tuple[Any, Show]]:
    """Make a store function that also gives what shows its entity."""

    def both(transaction: Transaction) -> tuple[Any, Show]:
        entity = work(transaction)
        return entity, shower(transaction, [entity])

    return both


def collection_routes(
    context: ApiContext, kind: Kind, whose: Whose = ANYBODYS, create: Handler | None = None
) -> list[Route]:
    """Make the rows of the route table for a kind of object: list, create, show, change, delete.

    :param create: makes an object and its secret, for a kind whose objects have one.
    """
    handlers = _Collection(context, kind, whose)
    path = f"{whose.path}/{kind.plural}"
    one = f"{path}/{{{handlers.id_name}}}"
    read, write = whose.readers, whose.writers
    answered = kind.answered or kind.shown

    def route(
        method: str, path: str, verb: str, roles: frozenset[Role], handler: Handler, **more: Any
    ) -> Route:
        noun = kind.plural.replace("-", "_") if verb == "list" else kind.noun
        name, text = f"{verb}_{whose.own}{noun}", kind.text(verb, whose)
        return Route(method, path, name, text, roles, handler, **more)

    listing: Any = Page[kind.shown]  # type: ignore[name-defined]
    routes = [
        route("GET", path, "list", read, handlers.list_all, query=kind.query, answer=listing),
        route(
            "POST", path, "create", write, create or handlers.create,
            body=kind.new, answer=kind.made or answered, status=HTTPStatus.CREATED, item=True,
        ),
        route("GET", one, "show", read, handlers.show, answer=kind.shown, item=True),
        route("DELETE", one, "delete", write, handlers.delete, item=True),
    ]  # fmt: skip
    if kind.change is not None:
        change = route(
            "PATCH", one, "change", write, handlers.change,
            body=kind.change, answer=answered, item=True,
        )  # fmt: skip
        routes.append(change)
    return routes


@frozen
class _Collection:
    """The operations on the objects of a kind."""

    context: ApiContext
    kind: Kind
    whose: Whose

    @property
    def id_name(self) -> str:
        return f"{self.kind.noun}_id"

    async def list_all(self, call: Call) -> Listed:
        filters = self.whose.filters(call, self.kind.query)
        shower = self.kind.shower(self.context)

        def work(transaction: Transaction) -> tuple[ListPage[Any], Show]:
            page = self.kind.list_page(transaction, **filters)
            return page, shower(transaction, page.items)

        page, show = await self.context.store.read(work)
        return listed(self.context, page, show)

    async def create(self, call: Call) -> Item:
        values = {**call.body_as(self.kind.new).given(), **self.whose.owners(call)}

        def work(transaction: Transaction) -> Any:
            return self.kind.create(transaction, **values)

        return await self._write(call, work, values)

    async def show(self, call: Call) -> Item:
        def work(transaction: Transaction) -> Any:
            return self.kind.get(transaction, call.params[self.id_name], **self.whose.owners(call))

        shower = self.kind.shower(self.context)
        return item_of(*await self.context.store.read(with_show(work, shower)))

    async def change(self, call: Call) -> Item:
        assert self.kind.change is not None
        assert self.kind.update is not None
        update, values = self.kind.update, call.body_as(self.kind.change).given()

        def work(transaction: Transaction) -> Any:
            version = self._version(transaction, call)
            return update(transaction, call.params[self.id_name], values, expected_version=version)

        return await self._write(call, work, values)

    async def delete(self, call: Call) -> None:
        def work(transaction: Transaction) -> None:
            version = self._version(transaction, call)
            self.kind.delete(transaction, call.params[self.id_name], expected_version=version)

        await self.context.acting(call).write(work)

    async def _write(
        self, call: Call, work: Callable[[Transaction], Any], given: Collection[str]
    ) -> Item:
        shower = self.kind.shower(self.context)
        acting = self.context.acting(call)
        entity, show = await acting.write(with_show(work, shower))
        if self.kind.afterwards is not None:
            entity = await self.kind.afterwards(self.context, acting, entity)
        return await answer_of(self.context, self.kind, entity, show, given)

    def _version(self, transaction: Transaction, call: Call) -> str | None:
        """Find the object, where it has to be somebody's, and the version it is to have."""
        object_id, owners = call.params[self.id_name], self.whose.owners(call)
        if owners:
            self.kind.get(transaction, object_id, **owners)
        return expected_version(transaction, self.kind.get, object_id, call.if_match)

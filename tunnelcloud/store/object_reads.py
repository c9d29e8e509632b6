"""Reads a kind of objects: one of them, a page of a list, or their number.

Kinds that administrators make and change are ``Aggregate``s (``tunnelcloud.store.object_writes``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast

import attrs
from attrs import field, frozen
from sqlalchemy import ColumnElement, FromClause, Select, Table, bindparam, func, select

from tunnelcloud.store.errors import NotFound
from tunnelcloud.store.filters import Filter
from tunnelcloud.store.paging import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    ListPage,
    fetch_page,
    fetch_part,
    join_parts,
    read_cursor,
)
from tunnelcloud.store.prepared_statements import Prepared
from tunnelcloud.store.transaction import Transaction


class Entity(Protocol):
    """The attribute that every object has."""

    @property
    def id(self) -> str:
        """The object's id."""


E = TypeVar("E", bound=Entity)


@frozen
class Listing(Generic[E]):
    """One kind of object, its table, and what can be asked of it.

    :ivar joined: fields whose values another table holds.
    :ivar source: the table joined with those.
    :ivar filters: what a list can be narrowed by.
    :ivar sorts: what a list can be ordered by; ids come in the order of creation.
    :ivar identified_by_time: the name of the time that ids sort by.
    :ivar searched_at_once: how many rows of a history are looked through for a text at once; a
        page may then have few items, and a next one still.  0 is all.
    """

    kind: str
    table: Table
    entity: Callable[..., E]
    joined: Mapping[str, ColumnElement[Any]] = field(factory=dict)
    source: FromClause | None = None
    filters: Mapping[str, Filter] = field(factory=dict)
    sorts: Mapping[str, ColumnElement[Any]] = field(factory=dict)
    identified_by_time: str = "created_at"
    searched_at_once: int = 0
    _first_pages: dict[str, Prepared] = field(factory=dict, init=False, eq=False, repr=False)

    # Putting a statement together takes longer than running it: the frequent ones are kept.

    def select(self) -> Select[Any]:
        """Select what ``make`` makes an entity of."""
        return self._all

    @cached_property
    def _all(self) -> Select[Any]:
        columns = [
            self.joined[one.name] if one.name in self.joined else self.table.c[one.name]
            for one in attrs.fields(cast(Any, self.entity))
        ]
        return select(*columns).select_from(self.table if self.source is None else self.source)

    @cached_property
    def _by_id(self) -> Prepared:
        return Prepared(self._all.where(self.table.c.id == bindparam("wanted")))

    @cached_property
    def _by_name(self) -> Prepared:
        return Prepared(self._all.where(self.table.c.name == bindparam("wanted")))

    def make(self, row: Any) -> E:
        """Make an entity of a row of ``select``."""
        return self.entity(*row)

    def get(self, transaction: Transaction, /, object_id: str, **owners: str | None) -> E:
        """Read an object.

        :param owners: its required owner, such as ``user_id``; None for anybody's.
        :raise NotFound: there is none with this id, or it has another owner.
        """
        entity = self._found(transaction, self._by_id, object_id)
        if any(owner not in (None, getattr(entity, name)) for name, owner in owners.items()):
            raise NotFound(self.kind, object_id)
        return entity

    def _found(self, transaction: Transaction, by_id: Prepared, object_id: str) -> E:
        # A NUL is what PostgreSQL can't hold, so nothing has it.
        found = "\x00" not in object_id and by_id(transaction.connection, {"wanted": object_id})
        if not found:
            raise NotFound(self.kind, object_id)
        return self.make(found[0])

    def find(self, transaction: Transaction, name_or_id: str) -> E:
        """Read an object by its name or its id.

        :raise NotFound: there is none.
        """
        wanted = self.table.c.id == name_or_id
        if "name" in self.table.c:
            # No name looks like an id: at most one of the two matches.
            wanted |= self.table.c.name == name_or_id
        return self._one(transaction, self.select().where(wanted), name_or_id)

    def find_named(self, transaction: Transaction, name: str) -> E | None:
        """Read an object by its name; None when there is none."""
        found = self._by_name(transaction.connection, {"wanted": name})
        return self.make(found[0]) if found else None

    def list_page(
        self,
        transaction: Transaction,
        *,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: str | None = None,
        **filters: object,
    ) -> ListPage[E]:
        """List objects.

        :param sort: a key of ``sorts`` or the time of creation, with ``-`` in front for descending.
        :param filters: keys of ``filters``; one whose value is None doesn't narrow.
        :raise BadCursor: the cursor is not from this list.
        """
        sort = sort or self.identified_by_time
        by_time = sort.removeprefix("-") == self.identified_by_time
        if self.searched_at_once and by_time and filters.get("q") is not None:
            return self._search_page(transaction, limit, cursor, sort, **filters)
        columns = {self.identified_by_time: self.table.c.id, **self.sorts}
        return fetch_page(
            transaction,
            self.filtered(self.select(), filters),
            self.make,
            identity=self.table.c.id,
            column=columns[sort.removeprefix("-")],
            sort=sort,
            limit=limit,
            cursor=cursor,
            kept=self._first_pages if all(one is None for one in filters.values()) else None,
        )

    def _search_page(
        self, transaction: Transaction, limit: int, cursor: str | None, sort: str, **filters: object
    ) -> ListPage[E]:
        sought = self.filters["q"](filters.pop("q"))
        limit = max(1, min(limit, MAX_LIMIT))
        descending = sort.startswith("-")
        part = fetch_part(
            transaction,
            self.filtered(self.select(), filters),
            self.table.c.id,
            after=None if cursor is None else read_cursor(cursor, sort, 1)[0],
            descending=descending,
            limit=limit,
            sought=sought,
            at_most=self.searched_at_once,
        )
        return join_parts([part], self.make, sort=sort, descending=descending, limit=limit)

    def count(self, transaction: Transaction, **filters: object) -> int:
        """Count the objects that ``list_page`` would list on all pages."""
        source = self.table if self.source is None else self.source
        query = select(func.count()).select_from(source)
        return int(transaction.connection.execute(self.filtered(query, filters)).scalar_one())

    def filtered(self, query: Select[Any], filters: Mapping[str, object]) -> Select[Any]:
        """Narrow a query."""
        for name, value in filters.items():
            if value is not None:
                query = query.where(self.filters[name](value))
        return query

    def _one(
        self,
        transaction: Transaction,
        query: Select[Any],
        wanted: str,
    ) -> E:
        row = None
        if "\x00" not in wanted:  # which PostgreSQL can't hold, so nothing has it
            row = transaction.connection.execute(query).first()
        if row is None:
            raise NotFound(self.kind, wanted)
        return self.make(row)

"""What all kinds of objects have in common: made, read, listed, changed and deleted alike.

Each kind's module describes its table to an ``Aggregate`` and adds what is special to it.  Every
change is audited in its own transaction and told to the pods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast

import attrs
from attrs import field, frozen
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Table,
    bindparam,
    delete,
    func,
    select,
    update,
)

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects import KINDS
from tunnelcloud.store import schema
from tunnelcloud.store.columns import plain
from tunnelcloud.store.errors import Conflict, InvalidReference, NotFound, Stale, words
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
from tunnelcloud.store.prepared import Prepared
from tunnelcloud.store.statements import exists, insert_row, is_taken, name_of
from tunnelcloud.store.transaction import Transaction

OBSERVED = frozenset(
    {
        "version",
        "last_seen_at",
        "last_used_at",
        "last_used_from",
        "joined_at",
        "certificate_serial",
        "certificate_expires_at",
        "site_name",
        "checked_at",
        "check_fault",
    }
)
"""Fields that no administrator sets: they are no part of an object's version."""

_SHOWN = frozenset({"title", "last_used_at"})
"""Fields that no decision reads, of kinds that the table of kinds doesn't have."""


class Entity(Protocol):
    """What every object has."""

    @property
    def id(self) -> str:
        """The object's id."""


E = TypeVar("E", bound=Entity)


def version_of(entity: object) -> str:
    """Give the version of an object: 32 characters that change when one of its settings does."""
    settings = [
        f"{one.name}={plain(getattr(entity, one.name))!r}"
        for one in attrs.fields(cast(Any, type(entity)))
        if one.name not in OBSERVED
    ]
    return hashlib.sha256("\n".join(settings).encode("utf-8")).hexdigest()[:32]


@frozen
class Aggregate(Generic[E]):
    """One kind of object, its table, and what can be asked of it.

    :ivar joined: fields whose values another table holds.
    :ivar source: the table joined with those.
    :ivar references: fields that name an object of another table: its kind and table.
    :ivar filters: what a list can be narrowed by.
    :ivar sorts: what a list can be ordered by; ids come in the order of creation.
    :ivar identified_by_time: the name of the time that ids sort by.
    :ivar searched_at_once: how many rows of a history are looked through for a text at once; a
        page may then have few items, and a next one still.  0 is all.
    :ivar fixed: fields that never change after creation.
    :ivar concerns: tells by what ids users' views hold an object, as ``Change`` has them.
    """

    kind: str
    table: Table
    entity: Callable[..., E]
    joined: Mapping[str, ColumnElement[Any]] = field(factory=dict)
    source: FromClause | None = None
    references: Mapping[str, tuple[str, Table]] = field(factory=dict)
    filters: Mapping[str, Filter] = field(factory=dict)
    sorts: Mapping[str, ColumnElement[Any]] = field(factory=dict)
    identified_by_time: str = "created_at"
    searched_at_once: int = 0
    fixed: frozenset[str] = frozenset({"id", "created_at"})
    concerns: Callable[[E], tuple[str, ...]] = field(default=lambda entity: (entity.id,))

    # Putting a statement together takes longer than running it: the frequent ones are kept.

    def select(self) -> Select[Any]:
        """Select what ``make`` makes an entity of."""
        return self._all

    @cached_property
    def _never_changed(self) -> frozenset[str]:
        kind = KINDS.get(self.kind)
        settings = () if kind is None else kind.fields
        return self.fixed | {one.name for one in settings if one.setting.fixed}

    @cached_property
    def _shown(self) -> frozenset[str]:
        """The fields that no decision reads; any other counts as one that decisions read."""
        kind = KINDS.get(self.kind)
        settings = () if kind is None else kind.fields
        return _SHOWN | {one.name for one in settings if not one.setting.decides}

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

        :param owners: whose it has to be, such as ``user_id``; None stands for anybody's.
        :raise NotFound: there is none with this id, or it is somebody else's.
        """
        # A NUL is what PostgreSQL can't hold, so nothing has it.
        found = "\x00" not in object_id and self._by_id(
            transaction.connection, {"wanted": object_id}
        )
        entity = self.make(found[0]) if found else None
        if entity is None or any(
            owner not in (None, getattr(entity, name)) for name, owner in owners.items()
        ):
            raise NotFound(self.kind, object_id)
        return entity

    def find(self, transaction: Transaction, name_or_id: str) -> E:
        """Read an object by its name or its id.

        :raise NotFound: there is none.
        """
        wanted = self.table.c.id == name_or_id
        if "name" in self.table.c:
            # Names have no underscore and ids have one: at most one of the two matches.
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

    def new(self, transaction: Transaction, **values: Any) -> E:
        """Make an object of a kind in the table of kinds, completed by the kind's defaults.

        :raise Conflict: a field that must be unique isn't.
        :raise InvalidReference: a field names an object that isn't there.
        """
        return self.create(transaction, KINDS[self.kind].with_defaults(values))

    def create(self, transaction: Transaction, values: Mapping[str, Any]) -> E:
        """Make an object with a new id, audit it and tell the pods.

        :param values: its fields; what is missing takes the entity's default.
        :raise Conflict: a field that must be unique isn't.
        :raise InvalidReference: a field names an object that isn't there.
        """
        entity = self.insert(transaction, values, {})
        changes = {name: {"to": value} for name, value in values.items() if value is not None}
        self.record(transaction, "created", entity, changes)
        return entity

    def insert(
        self, transaction: Transaction, values: Mapping[str, Any], secrets: Mapping[str, Any]
    ) -> E:
        """Make an object with a new id.

        :param secrets: columns that are no part of the entity.
        """
        new_id = transaction.new_id(self.kind)
        placeholders = dict.fromkeys(self.joined, "")
        entity = self.entity(id=new_id, created_at=transaction.now(), **placeholders, **values)
        self._check(transaction, new_id, values)
        row = {
            one.name: getattr(entity, one.name)
            for one in attrs.fields(cast(Any, self.entity))
            if one.name not in self.joined
        }
        insert_row(transaction.connection, self.table, {**row, **secrets})
        return self.get(transaction, new_id)

    def update(
        self,
        transaction: Transaction,
        object_id: str,
        changes: Mapping[str, Any],
        *,
        expected_version: str | None = None,
    ) -> E:
        """Change some fields of an object; what is the same already is no change.

        :param expected_version: what ``version_of`` gave for the object its reader saw.
        :raise NotFound: there is no such object.
        :raise Stale: it isn't of the expected version any more.
        :raise Conflict: a field that must be unique wouldn't be.
        :raise InvalidReference: a field names an object that isn't there.
        """
        before = self.lock(transaction, object_id, expected_version)
        forbidden = self._never_changed & changes.keys()
        if forbidden:
            raise Conflict(min(forbidden), "it can't be changed: make a new object")
        different = {
            name: value for name, value in changes.items() if getattr(before, name) != value
        }
        if not different:
            return before
        self._check(transaction, object_id, different)
        transaction.connection.execute(
            update(self.table).where(self.table.c.id == object_id), different
        )
        after = self.get(transaction, object_id)
        self.record(
            transaction,
            "changed",
            after,
            {
                name: {"from": getattr(before, name), "to": getattr(after, name)}
                for name in different
            },
        )
        return after

    def delete(
        self, transaction: Transaction, object_id: str, *, expected_version: str | None = None
    ) -> E:
        """Delete an object and what belongs to it.

        :return: what was deleted.
        :raise NotFound: there is no such object.
        :raise Stale: it isn't of the expected version any more.
        """
        entity = self.lock(transaction, object_id, expected_version)
        # Recorded first: names of what goes with it can still be read.
        self.record(transaction, "deleted", entity, {})
        transaction.connection.execute(delete(self.table).where(self.table.c.id == object_id))
        return entity

    def lock(
        self, transaction: Transaction, object_id: str, expected_version: str | None = None
    ) -> E:
        """Read an object that is about to change; others who want to change it wait.

        :raise NotFound: there is no such object.
        :raise Stale: it isn't of the expected version any more.
        """
        query = self.select().where(self.table.c.id == object_id).with_for_update(of=self.table)
        entity = self._one(transaction, query, object_id)
        if expected_version is not None and version_of(entity) != expected_version:
            raise Stale(self.kind, object_id)
        return entity

    def record(
        self, transaction: Transaction, verb: str, entity: E, changes: Mapping[str, object]
    ) -> None:
        """Audit what was done to an object, and tell the pods."""
        subjects = subjects_of(transaction, self.kind, entity)
        transaction.audit(
            AuditEvent(
                f"{self.kind}.{verb}",
                data={
                    "object_id": entity.id,
                    "object_name": getattr(entity, "name", None) or getattr(entity, "title", ""),
                    "changes": plain(changes),
                },
                **subjects,
            )
        )
        # Nobody's view holds what was just made; an assignment's concerns are older than itself.
        known = verb != "created" or self.concerns(entity) != (entity.id,)
        transaction.changed(
            self.kind,
            entity.id,
            decides=known and (verb != "changed" or not self._shown.issuperset(changes)),
            concerns=self.concerns(entity) if known else (),
        )

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

    def _check(self, transaction: Transaction, object_id: str, values: Mapping[str, Any]) -> None:
        """Look for what would break a constraint, to word it better than a database does."""
        for name, value in values.items():
            if value is None:
                continue
            if name in self.references:
                kind, table = self.references[name]
                if not exists(transaction.connection, table, value):
                    raise InvalidReference(name, kind, value)
            if self.table.c[name].unique and is_taken(
                transaction.connection, self.table, name, value, object_id
            ):
                said = name.replace("_", " ")
                raise Conflict(
                    name, f"there is a {words(self.kind)} with the {said} {value!r} already"
                )


def subjects_of(transaction: Transaction, kind: str, entity: object) -> dict[str, Any]:
    """Name the user and the tunnel that an object is, or belongs to, for its audit event."""
    found: dict[str, Any] = {}
    for subject, table in (("user", schema.users), ("tunnel", schema.tunnels)):
        subject_id = getattr(entity, "id" if kind == subject else f"{subject}_id", None)
        if subject_id is None:
            continue
        found[f"{subject}_id"] = subject_id
        found[f"{subject}_name"] = name_of(transaction.connection, table, subject_id)
    return found

"""Creating, changing and deleting objects, in the same way for every kind.

Each kind's module describes its table to an ``Aggregate`` and adds its own rules.  Every change is
audited in its own transaction and announced to the pods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, cast

import attrs
from attrs import field, frozen
from sqlalchemy import Table, bindparam, delete

from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects import KINDS
from tunnelcloud.interpreter_lock import politely
from tunnelcloud.store import schema
from tunnelcloud.store.bulk_statements import exists, insert_row, is_taken, name_of, update_row
from tunnelcloud.store.column_types import plain
from tunnelcloud.store.errors import Conflict, InvalidReference, Stale, words
from tunnelcloud.store.object_reads import E, Listing
from tunnelcloud.store.prepared_statements import Prepared
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
        "authority",
        "site_name",
        "checked_at",
        "check_fault",
    }
)
"""Fields that no administrator sets: they are no part of an object's version."""

_SHOWN = frozenset({"title", "last_used_at"})
"""Fields that no decision reads, of kinds that the table of kinds doesn't have."""


def version_of(entity: object) -> str:
    """Give the version of an object: 32 characters that change when one of its settings does."""
    settings = [
        f"{one.name}={plain(getattr(entity, one.name))!r}"
        for one in attrs.fields(cast(Any, type(entity)))
        if one.name not in OBSERVED
    ]
    return hashlib.sha256("\n".join(settings).encode("utf-8")).hexdigest()[:32]


@frozen
class Aggregate(Listing[E]):
    """One kind of object that is made, changed and deleted.

    :ivar references: fields that name an object of another table: its kind and table.
    :ivar fixed: fields that never change after creation.
    :ivar concerns: tells by what ids users' views hold an object, as ``Change`` has them.
    """

    references: Mapping[str, tuple[str, Table]] = field(factory=dict)
    fixed: frozenset[str] = frozenset({"id", "created_at"})
    concerns: Callable[[E], tuple[str, ...]] = field(default=lambda entity: (entity.id,))

    @cached_property
    def _locked(self) -> Prepared:
        wanted = self.select().where(self.table.c.id == bindparam("wanted"))
        return Prepared(wanted.with_for_update(of=self.table))

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
        update_row(transaction.connection, self.table, object_id, different)
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

    def delete_all(self, transaction: Transaction, owner: str, owner_id: str) -> None:
        """Delete the objects that belong to another one, each of which the audit names.

        The number of statements doesn't depend on how many objects these are.

        :param owner: the column that names the other object.
        """
        theirs = self.table.c[owner] == owner_id
        wanted = self.select().where(theirs).with_for_update(of=self.table)
        rows = transaction.connection.execute(wanted.order_by(self.table.c.id))
        transaction.audit_all(
            [
                self._announced(transaction, "deleted", self.make(row), {})
                for row in politely(rows.all())
            ]
        )
        transaction.connection.execute(delete(self.table).where(theirs))

    def lock(
        self, transaction: Transaction, object_id: str, expected_version: str | None = None
    ) -> E:
        """Read an object that is about to change; others who want to change it wait.

        :raise NotFound: there is no such object.
        :raise Stale: it isn't of the expected version any more.
        """
        entity = self._found(transaction, self._locked, object_id)
        if expected_version is not None and version_of(entity) != expected_version:
            raise Stale(self.kind, object_id)
        return entity

    def record(
        self, transaction: Transaction, verb: str, entity: E, changes: Mapping[str, object]
    ) -> None:
        """Audit what was done to an object, and tell the pods."""
        transaction.audit(self._announced(transaction, verb, entity, changes))

    def _announced(
        self, transaction: Transaction, verb: str, entity: E, changes: Mapping[str, object]
    ) -> AuditEvent:
        """Tell the pods what is done to an object, and give the event for the audit."""
        # Nobody's view holds what was just made; an assignment's concerns are older than itself.
        known = verb != "created" or self.concerns(entity) != (entity.id,)
        transaction.changed(
            self.kind,
            entity.id,
            decides=known and (verb != "changed" or not self._shown.issuperset(changes)),
            concerns=self.concerns(entity) if known else (),
        )
        return AuditEvent(
            f"{self.kind}.{verb}",
            data={
                "object_id": entity.id,
                "object_name": getattr(entity, "name", None) or getattr(entity, "title", ""),
                "changes": plain(changes),
                **_group_of(transaction, entity),
            },
            **subjects_of(transaction, self.kind, entity),
        )

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


def subjects_of(transaction: Transaction, kind: str, entity: Any) -> dict[str, Any]:
    """Name the user and the tunnel that an object is, or belongs to, for its audit event."""
    found: dict[str, Any] = {}
    for subject, table in (("user", schema.users), ("tunnel", schema.tunnels)):
        if kind == subject:
            found[f"{subject}_id"] = entity.id
            found[f"{subject}_name"] = entity.name
            continue
        subject_id = getattr(entity, f"{subject}_id", None)
        if subject_id is not None:
            found[f"{subject}_id"] = subject_id
            found[f"{subject}_name"] = name_of(transaction.connection, table, subject_id)
    return found


def _group_of(transaction: Transaction, entity: object) -> dict[str, Any]:
    """Name the group that an object belongs to, likewise."""
    group_id = getattr(entity, "group_id", None)
    if group_id is None:
        return {}
    name = name_of(transaction.connection, schema.groups, group_id)
    return {"group_id": group_id, "group_name": name}

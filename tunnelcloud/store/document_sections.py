"""What a document may say: its sections, and what there is in their terms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import define, field, frozen
from sqlalchemy import ColumnElement, Select, select

from tunnelcloud.domain.kinds import Kind
from tunnelcloud.domain.objects import KINDS
from tunnelcloud.store import assignments, connectors, groups, keys, policies, sites, tunnels, users
from tunnelcloud.store.object_writes import Aggregate
from tunnelcloud.store.schema import group_members
from tunnelcloud.store.transaction import Transaction

Values = Mapping[str, Any]
Document = Mapping[str, Mapping[str, Values]]
"""The objects of each section by their names; their fields have the domain's values."""


@frozen
class Section:
    """One kind of object in a document.

    :ivar dependents: the field with what hangs on an object.
    """

    aggregate: Aggregate[Any]
    create: Callable[..., Any]
    update: Callable[..., Any]
    dependents: str | None = None

    @cached_property
    def kind(self) -> Kind:
        """The kind, as the table of kinds has it."""
        return KINDS[self.aggregate.kind]

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of its settings in a document; its own name stands before them."""
        return tuple(one.name_in_document for one in self.kind.fields if one.name != "name")

    @cached_property
    def references(self) -> Mapping[str, tuple[str, str]]:
        """Fields that name an object of another section: its column, and that section."""
        return {
            one.name_in_document: (one.name, KINDS[one.setting.reference].plural)
            for one in self.kind.fields
            if one.setting.reference
        }

    def said(self, wanted: Values) -> tuple[str, ...]:
        """Name the fields that a document speaks of; only an optional one may be None."""
        optional = {one.name_in_document for one in self.kind.fields if one.optional}
        given = (name for name in self.fields if name in wanted)
        return tuple(name for name in given if wanted[name] is not None or name in optional)

    def column(self, name: str) -> str:
        """Give the column that a field of the document is kept in."""
        return self.references[name][0] if name in self.references else name


SECTIONS: Mapping[str, Section] = {
    "sites": Section(sites.SITES, sites.create, sites.update),
    "connectors": Section(connectors.CONNECTORS, connectors.create, connectors.update),
    "users": Section(users.USERS, users.create, users.update, dependents="keys"),
    "groups": Section(groups.GROUPS, groups.create, groups.update, dependents="members"),
    "policies": Section(policies.POLICIES, policies.create, policies.update),
    "tunnels": Section(tunnels.TUNNELS, tunnels.create, tunnels.update, dependents="assignments"),
}
"""In the order in which they can be made: what is referred to comes first."""


@define
class Reading:
    """What there is, in a document's terms.

    :ivar is_whole: what hangs on objects is read for all of them at once.
    """

    transaction: Transaction
    is_whole: bool = False
    _names: dict[tuple[str, str], str] = field(factory=dict)
    _hanging: dict[str, Mapping[str, Sequence[Any]]] = field(factory=dict)

    def described(self, section: str, entity: Any) -> dict[str, Any]:
        """Give the fields of an object, names in place of ids."""
        kind = SECTIONS[section]
        return {
            name: self.name_of(kind.references[name][1], getattr(entity, kind.column(name)))
            if name in kind.references
            else getattr(entity, name)
            for name in kind.fields
        }

    def note_name(self, section: str, object_id: str, name: str) -> None:
        """Remember an object's name, so that it isn't looked up."""
        self._names[section, object_id] = name

    def dependents(self, section: str, object_id: str) -> dict[str, Any]:
        """Give what hangs on an object, under its field's name."""
        if section == "groups":
            return {"members": tuple(sorted(self.members(object_id)))}
        if section == "tunnels":
            return {"assignments": tuple(row for row, _ in self.assignments(object_id).values())}
        if section == "users" and (found := self.keys(object_id)):
            return {"keys": tuple(row for row, _ in found.values())}
        return {}

    def members(self, group_id: str) -> dict[str, str]:
        """Give the ids of a group's members by their names."""
        query = (
            select(users.USERS.table.c.name, users.USERS.table.c.id, group_members.c.group_id)
        ).join(group_members, group_members.c.user_id == users.USERS.table.c.id)
        found = self._hanging_on(query, group_members.c.group_id, group_id)
        return {row.name: row.id for row in found}

    def assignments(self, tunnel_id: str) -> dict[str, tuple[dict[str, Any], str]]:
        """Give a tunnel's assignments and their ids, by whom they are for."""
        table = assignments.ASSIGNMENTS.table
        query = assignments.ASSIGNMENTS.select().order_by(table.c.id)
        found = {}
        for row in self._hanging_on(query, table.c.tunnel_id, tunnel_id):
            one = assignments.ASSIGNMENTS.make(row)
            shown: dict[str, Any] = {"methods": one.methods, "policy": None}
            if one.policy_id is not None:
                shown["policy"] = self.name_of("policies", one.policy_id)
            if one.user_id is not None:
                shown["user"] = self.name_of("users", one.user_id)
            else:
                shown["group"] = self.name_of("groups", str(one.group_id))
            found[whose_of(shown)] = shown, one.id
        return dict(sorted(found.items()))

    def keys(self, user_id: str) -> dict[str, tuple[dict[str, Any], str]]:
        """Give a user's keys and their ids, by fingerprint."""
        table = keys.KEYS.table
        found = {}
        for row in self._hanging_on(
            keys.KEYS.select().order_by(table.c.id), table.c.user_id, user_id
        ):
            key = keys.KEYS.make(row)
            shown = {
                "public_key": key.public_key, "title": key.title, "expires_at": key.expires_at
            }  # fmt: skip
            found[key.fingerprint] = shown, key.id
        return found

    def _hanging_on(
        self, query: Select[Any], owner: ColumnElement[Any], object_id: str
    ) -> Sequence[Any]:
        """Give the rows of one owner, from all rows if the whole is read."""
        run = self.transaction.connection.execute
        if not self.is_whole:
            return run(query.where(owner == object_id)).all()
        if str(owner) not in self._hanging:
            gathered = defaultdict(list)
            for row in run(query):
                gathered[getattr(row, owner.name)].append(row)
            self._hanging[str(owner)] = gathered
        return self._hanging[str(owner)].get(object_id, ())

    def name_of(self, section: str, object_id: str | None) -> str | None:
        """Give the name of an object that is there; None for no object."""
        if object_id is None:
            return None
        if (section, object_id) not in self._names:
            table = SECTIONS[section].aggregate.table
            query = select(table.c.name).where(table.c.id == object_id)
            found = self.transaction.connection.execute(query).scalar_one()
            self._names[section, object_id] = found
        return self._names[section, object_id]


def whose_of(assignment: Values) -> str:
    """Say whom an assignment is for: no two of a tunnel are for the same."""
    user = assignment.get("user")
    return f"user {user}" if user is not None else f"group {assignment['group']}"

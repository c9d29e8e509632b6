"""A configuration as one document: what it would change, that change, and what there is now.

A document speaks of objects by their names, so that it means the same wherever it is applied.
Objects that it doesn't name are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from sqlalchemy import select

from tunnelcloud.store import assignments, groups, keys
from tunnelcloud.store.document_sections import (
    SECTIONS,
    Document,
    Reading,
    Section,
    Values,
    whose_of,
)
from tunnelcloud.store.errors import BadDocument, Conflict, InvalidReference, words
from tunnelcloud.store.transaction import Transaction

_MAX_FAULTS = 50


@frozen
class FieldChange:
    """One field of an object: what it was, and what it becomes."""

    field: str
    before: Any
    after: Any


@frozen
class Step:
    """One thing that applying a document does.

    :ivar action: ``create``, ``change`` or ``delete``.
    :ivar path: where in the document the object is.
    """

    action: str
    path: str
    fields: tuple[FieldChange, ...] = ()


def _go_on() -> None:
    """Let nothing stop it."""


def apply(
    transaction: Transaction, document: Document, go_on: Callable[[], object] = _go_on
) -> list[Step]:
    """Make the objects that a document names what it says of them.

    :param go_on: called before each object; may raise to stop.
    :return: what was done; nothing when all was so already.
    :raise BadDocument: with each place where that can't be done; then nothing is.
    """
    applying = _Applying(transaction)
    for section in SECTIONS:
        for name, wanted in document.get(section, {}).items():
            go_on()
            applying.apply(section, name, wanted)
    if applying.faults:
        raise BadDocument(applying.faults)
    return applying.steps


def export(transaction: Transaction) -> dict[str, dict[str, Values]]:
    """Describe all there is, as ``apply`` takes it; in as many statements as there are kinds."""
    reading = Reading(transaction, is_whole=True)
    found: dict[str, dict[str, Values]] = {}
    for section, kind in SECTIONS.items():
        query = kind.aggregate.select().order_by(kind.aggregate.table.c.name)
        entities = [kind.aggregate.make(row) for row in transaction.connection.execute(query)]
        for one in entities:
            reading.note_name(section, one.id, one.name)
        found[section] = {
            entity.name: {
                **reading.described(section, entity),
                **reading.dependents(section, entity.id),
            }
            for entity in entities
        }
    return found


@define
class _Applying:
    """Does what a document says, step by step, and notes where that can't be done."""

    transaction: Transaction
    steps: list[Step] = field(factory=list)
    faults: list[tuple[str, str]] = field(factory=list)
    _ids: dict[tuple[str, str], str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._reading = Reading(self.transaction)

    _reading: Reading = field(init=False)

    def apply(self, section: str, name: str, wanted: Values) -> None:
        kind, path = SECTIONS[section], f"{section}.{name}"
        columns = self._columns(section, path, wanted)
        if columns is None:
            return
        entity = kind.aggregate.find_named(self.transaction, name)
        if entity is None:
            entity = self._try(path, section, kind.create, self.transaction, name=name, **columns)
            if entity is None:
                return
            self.steps.append(Step("create", path, _given(kind, wanted)))
        else:
            self._change(section, path, entity, wanted, columns)
        if kind.dependents is not None and wanted.get(kind.dependents) is not None:
            work: Mapping[str, Callable[[str, str, Any], None]]
            work = {"keys": self._keys, "members": self._members, "assignments": self._assign}
            work[kind.dependents](path, entity.id, wanted[kind.dependents])

    def _change(
        self, section: str, path: str, entity: Any, wanted: Values, columns: Values
    ) -> None:
        kind = SECTIONS[section]
        before = self._reading.described(section, entity)
        changes = tuple(
            FieldChange(name, before[name], wanted[name])
            for name in kind.said(wanted)
            if before[name] != wanted[name]
        )
        if not changes:
            return
        values = {kind.column(one.field): columns[kind.column(one.field)] for one in changes}
        if self._try(path, section, kind.update, self.transaction, entity.id, values) is not None:
            self.steps.append(Step("change", path, changes))

    def _columns(self, section: str, path: str, wanted: Values) -> dict[str, Any] | None:
        """Put ids in place of names; None when one is nobody's."""
        kind = SECTIONS[section]
        found, missing = {}, False
        for name in kind.said(wanted):
            value = wanted[name]
            if name in kind.references and value is not None:
                value = self._id_of(f"{path}.{name}", kind.references[name][1], value)
                missing = missing or value is None
            found[kind.column(name)] = value
        return None if missing else found

    def _id_of(self, path: str, section: str, name: str) -> str | None:
        if (section, name) not in self._ids:
            aggregate = SECTIONS[section].aggregate
            query = select(aggregate.table.c.id).where(aggregate.table.c.name == name)
            found = self.transaction.connection.execute(query).scalar()
            if found is None:
                self._fault(path, f"there is no {words(aggregate.kind)} {name!r}")
                return None
            self._ids[section, name] = found
        return self._ids[section, name]

    def _members(self, path: str, group_id: str, wanted: Sequence[str]) -> None:
        present = self._reading.members(group_id)
        for index, name in enumerate(wanted):
            if name not in present:
                user_id = self._id_of(f"{path}.members.{index}", "users", name)
                if user_id is not None:
                    groups.add_member(self.transaction, group_id, user_id)
                    self.steps.append(Step("create", f"{path}.members.{name}"))
        for name in sorted(present.keys() - set(wanted)):
            groups.remove_member(self.transaction, group_id, present[name])
            self.steps.append(Step("delete", f"{path}.members.{name}"))

    def _assign(self, path: str, tunnel_id: str, wanted: Sequence[Values]) -> None:
        present = self._reading.assignments(tunnel_id)
        seen: set[str] = set()
        for index, one in enumerate(wanted):
            whose, at = whose_of(one), f"{path}.assignments.{index}"
            if whose in seen:
                self._fault(at, f"{whose} is there twice: name both methods in one assignment")
                continue
            seen.add(whose)
            columns = self._assignment_columns(at, one)
            if columns is None:
                continue
            after = {"methods": one["methods"], "policy": one.get("policy")}
            step_path = f"{path}.assignments.{whose}"
            if whose not in present:
                assignments.create(self.transaction, tunnel_id=tunnel_id, **columns)
                self.steps.append(Step("create", step_path, _differing({}, after)))
                continue
            before, assignment_id = present[whose]
            if changes := _differing(before, after):
                values = {name: columns[name] for name in ("methods", "policy_id")}
                assignments.update(self.transaction, assignment_id, values)
                self.steps.append(Step("change", step_path, changes))
        for whose in present.keys() - seen:
            assignments.delete(self.transaction, present[whose][1])
            self.steps.append(Step("delete", f"{path}.assignments.{whose}"))

    def _assignment_columns(self, path: str, one: Values) -> dict[str, Any] | None:
        columns: dict[str, Any] = {"methods": one["methods"], "policy_id": None}
        for name, section in (("user", "users"), ("group", "groups"), ("policy", "policies")):
            if one.get(name) is not None:
                found = self._id_of(f"{path}.{name}", section, one[name])
                if found is None:
                    return None
                columns[f"{name}_id"] = found
        return columns

    def _keys(self, path: str, user_id: str, wanted: Sequence[Values]) -> None:
        present = self._reading.keys(user_id)
        seen: set[str] = set()
        for index, one in enumerate(wanted):
            fingerprint = keys.fingerprint_of_text(one["public_key"])
            step_path = f"{path}.keys.{fingerprint}"
            at = f"{path}.keys.{index}"
            if fingerprint in seen:
                self._fault(f"{at}.public_key", "is there twice")
                continue
            seen.add(fingerprint)
            after = {"title": one["title"], "expires_at": one["expires_at"]}
            if fingerprint not in present:
                made = self._try(
                    at, "users", keys.create, self.transaction,
                    user_id=user_id, public_key=one["public_key"], **after,
                )  # fmt: skip
                if made is not None:
                    self.steps.append(Step("create", step_path, _differing({}, after)))
                continue
            before, key_id = present[fingerprint]
            if changes := _differing(before, after):
                keys.update(self.transaction, key_id, after)
                self.steps.append(Step("change", step_path, changes))
        for fingerprint in present.keys() - seen:
            keys.delete(self.transaction, present[fingerprint][1])
            self.steps.append(Step("delete", f"{path}.keys.{fingerprint}"))

    def _try(
        self, path: str, section: str, work: Callable[..., Any], *args: Any, **values: Any
    ) -> Any:
        """Call a function; return None and note a fault if existing objects conflict with it."""
        try:
            return work(*args, **values)
        except (Conflict, InvalidReference) as error:
            columns = {column: name for name, (column, _) in SECTIONS[section].references.items()}
            at = columns.get(error.field, error.field)
            self._fault(f"{path}.{at}".rstrip("."), str(error))
            return None

    def _fault(self, path: str, message: str) -> None:
        self.faults.append((path, message))
        if len(self.faults) >= _MAX_FAULTS:
            raise BadDocument(self.faults)


def _given(kind: Section, wanted: Values) -> tuple[FieldChange, ...]:
    return _differing({}, {name: wanted[name] for name in kind.said(wanted)})


def _differing(before: Values, after: Values) -> tuple[FieldChange, ...]:
    """Compare fields; of what wasn't there, nothing and empty is no difference."""
    return tuple(_differences(before, after))


def _differences(before: Values, after: Values) -> Iterator[FieldChange]:
    for name, value in after.items():
        was = before.get(name)
        if was != value and not (not before and value in ("", (), None)):
            yield FieldChange(name, was, value)

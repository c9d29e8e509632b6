"""A whole configuration as one document: what `tunnelcloud apply` sends and `export` shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.domain.objects import CONNECTOR, GROUP, POLICY, SITE, TUNNEL, USER
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.interpreter_lock import let_others_in, politely, take_apart
from tunnelcloud.store.column_types import plain
from tunnelcloud.store.document_sections import Document as StoredDocument
from tunnelcloud.store.documents import Step as StoredStep
from tunnelcloud.web.encoding import Members
from tunnelcloud.web.models.assignments import Methods
from tunnelcloud.web.models.credentials import PublicKey
from tunnelcloud.web.models.fields import Body, Instant, Name, Shown, Title, UserName, one_of
from tunnelcloud.web.models.object_models import entry_model
from tunnelcloud.web.problems import Faults, Place, invalid_field

SiteEntry = entry_model(SITE, "SiteEntry", "A site of a document.")
ConnectorEntry = entry_model(CONNECTOR, "ConnectorEntry", "A connector of a document.")
PolicyEntry = entry_model(POLICY, "PolicyEntry", "A policy of a document.")


class KeyEntry(Body):
    """A key of a user of a document."""

    public_key: PublicKey
    title: Title = ""
    expires_at: Instant | None = None


UserEntry = entry_model(
    USER,
    "UserEntry",
    "A user of a document; without ``keys`` or ``blocked`` those stay as they are.",
    blocked=(bool | None, None),
    keys=(Annotated[list[KeyEntry], Field(max_length=100)] | None, None),
)
GroupEntry = entry_model(
    GROUP,
    "GroupEntry",
    "A group of a document, with all of its members.",
    members=(Annotated[list[UserName], FailFast()], []),
)


class AssignmentEntry(Body):
    """Who may open a tunnel of a document."""

    model_config = ConfigDict(json_schema_extra=one_of("user", "group"))

    user: UserName | None = None
    group: Name | None = None
    methods: Methods
    policy: Name | None = None

    @model_validator(mode="after")
    def _one_entity(self) -> AssignmentEntry:
        if (self.user is None) == (self.group is None):
            raise ValueError("give either a user or a group")
        return self


TunnelEntry = entry_model(
    TUNNEL,
    "TunnelEntry",
    "A tunnel of a document, with all of its assignments.",
    assignments=(Annotated[list[AssignmentEntry], FailFast()], []),
)


def _once(names: object) -> object:
    if isinstance(names, Mapping):
        seen: set[str] = set()
        for name in map(str, names):
            if folded(name) in seen:
                raise ValueError(f"{name} is there twice: case doesn't count in users' names")
            seen.add(folded(name))
    return names


_CLOSED = Field(json_schema_extra={"additionalProperties": False})


class Document(Body):
    """Objects by their names.  Those that aren't named here are left alone."""

    def take_entries(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Give what the store works with: every field, lists as the tuples that entities have.

        This document has no objects any more: the reactor's thread has less to let go of.
        """
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        found = {
            section: {name: _values(entry) for name, entry in politely(entries.items())}
            for section, entries in sections.items()
        }
        take_apart(*sections.values())
        return found


_SECTIONS: Mapping[str, type[Body]] = {
    "sites": SiteEntry,
    "connectors": ConnectorEntry,
    "users": UserEntry,
    "groups": GroupEntry,
    "policies": PolicyEntry,
    "tunnels": TunnelEntry,
}


def _section(name: str, entry: type[Body]) -> Any:
    if name == "users":
        return Annotated[dict[UserName, entry], BeforeValidator(_once), _CLOSED], {}  # type: ignore[valid-type]
    return Annotated[dict[Name, entry], _CLOSED], {}  # type: ignore[valid-type]


WholeDocument: type[Document] = create_model(
    "Document",
    __base__=Document,
    __doc__=Document.__doc__,
    **{name: _section(name, entry) for name, entry in _SECTIONS.items()},
)


_AT_ONCE = 100


def read_document(value: Any) -> Document:
    """Read a document from parsed JSON, so many entries at a time: between two parts, other
    threads get their turn, and of many faults only a few are written out.

    :raise Problem: with what is wrong.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    faults = Faults()
    for part in _parts(value) if isinstance(value, dict) else [[]]:
        let_others_in()
        try:
            read = WholeDocument.model_validate_json(json.dumps(part))
        except ValidationError as error:
            faults.add(error, _allowed)
            continue
        for name in read.model_fields_set:
            found[name] |= getattr(read, name)
    if not faults.is_empty:
        raise faults.problem()
    try:
        _once(value.get("users"))  # each part by itself may have had no two
    except ValueError as error:
        raise invalid_field("users", str(error)) from None
    return WholeDocument.model_construct(set(value), **found)


def _allowed(place: Place) -> Iterable[str]:
    """List the known fields of a part in which a document has an unknown field."""
    if len(place) == 1:
        return _SECTIONS
    section = _SECTIONS.get(str(place[0]))
    return section.model_fields if section is not None and len(place) == 3 else ()


def _parts(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Divide a document into documents of a few entries."""
    long = [
        name
        for name in _SECTIONS
        if isinstance(value.get(name), dict) and len(value[name]) > _AT_ONCE
    ]
    yield {name: _cut(one) for name, one in value.items() if name not in long}
    for name in long:
        entries = iter(value[name].items())
        while some := dict(islice(entries, _AT_ONCE)):
            yield {name: some}


def _cut(section: Any) -> Any:
    """Return a section's content; nothing for a list, which is refused anyway."""
    return [] if isinstance(section, list) else section


def _values(entry: Body) -> dict[str, Any]:
    return {name: _plain(name, getattr(entry, name)) for name in type(entry).model_fields}


def _plain(name: str, value: Any) -> Any:
    if name == "methods":
        return frozenset(value)
    if isinstance(value, list):
        return tuple(_values(one) if isinstance(one, Body) else one for one in value)
    return value


class ApplyQuery(BaseModel):
    """How a document is to be applied."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: bool = Field(default=False, description="Only tell what would be done.")


class FieldChanged(Shown):
    """What a field was, and what it becomes."""

    field: str
    before: Any
    after: Any


class Step(Shown):
    """One thing that is done; ``path`` says where in the document."""

    action: Literal["create", "change", "delete"]
    path: str
    fields: list[FieldChanged]


class Applied(Shown):
    """What was done, or would be; empty when nothing had to change."""

    dry_run: bool
    steps: list[Step]


def applied(steps: list[StoredStep], dry_run: bool) -> dict[str, Any]:
    """Show what applying a document did, as ``Applied`` has it; a step once it is asked for."""
    shown = (Step.model_validate(_shown(step)).model_dump(mode="json") for step in steps)
    return {"dry_run": dry_run, "steps": shown}


def _shown(step: StoredStep) -> dict[str, Any]:
    return {
        "action": step.action,
        "path": step.path,
        "fields": [
            {"field": one.field, "before": plain(one.before), "after": plain(one.after)}
            for one in step.fields
        ],
    }


def written(found: StoredDocument) -> dict[str, Any]:
    """Write a document as it is sent, without empty parts and defaults.

    An object is written once it is asked for.
    """
    return {section: Members(_briefly(found[section])) for section in _SECTIONS if found[section]}


def _briefly(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, values in entries.items():
        yield name, _brief(_unblocked(values))


_UNSAID: Mapping[str, Any] = {
    name: field.get_default(call_default_factory=True)
    for entry in (TunnelEntry, UserEntry, GroupEntry, PolicyEntry, AssignmentEntry, KeyEntry)
    for name, field in entry.model_fields.items()
    if not field.is_required()
}
"""What a field is when it is left out; alike in all entries that have one of this name."""


def _unblocked(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out of a user that they aren't blocked: an import lifts no block."""
    return {name: value for name, value in values.items() if (name, value) != ("blocked", False)}


def _port(port: PortRange) -> int | str:
    """Write a port as a number, as people do; only a range needs a text."""
    return port.first if len(port) == 1 else str(port)


def _brief(values: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        name: [_port(port) for port in value]
        if name == "target_ports"
        else [_brief(one) if isinstance(one, Mapping) else plain(one) for one in value]
        if isinstance(value, tuple)
        else plain(value)
        for name, value in values.items()
    }
    return {
        name: value
        for name, value in shown.items()
        if name not in _UNSAID or value != plain(_UNSAID[name])
    }

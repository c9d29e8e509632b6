"""A whole configuration as one document: what `tunnelcloud apply` sends and `export` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from tunnelcloud.domain.objects import (
    CONNECTOR,
    GROUP,
    POLICY,
    SITE,
    TUNNEL,
    USER,
    PortRange,
)
from tunnelcloud.store.columns import plain
from tunnelcloud.store.document_sections import Document as StoredDocument
from tunnelcloud.store.documents import Step as StoredStep
from tunnelcloud.web.models.credentials import PublicKey
from tunnelcloud.web.models.fields import (
    Body,
    Instant,
    Name,
    Shown,
    Title,
    UserName,
    one_of,
)
from tunnelcloud.web.models.kinds import entry_model
from tunnelcloud.web.models.objects import Methods

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
    "A user of a document; without ``keys`` the user's keys stay as they are.",
    keys=(Annotated[list[KeyEntry], Field(max_length=100)] | None, None),
)
GroupEntry = entry_model(
    GROUP,
    "GroupEntry",
    "A group of a document, with all of its members.",
    members=(list[UserName], []),
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
            raise ValueError("give either user or group")
        return self


TunnelEntry = entry_model(
    TUNNEL,
    "TunnelEntry",
    "A tunnel of a document, with all of its assignments.",
    assignments=(list[AssignmentEntry], []),
)


def _once(names: object) -> object:
    if isinstance(names, Mapping):
        lowered = [str(name).lower() for name in names]
        twice = next((name for name in names if lowered.count(str(name).lower()) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} is there twice: case doesn't count in users' names")
    return names


_CLOSED = Field(json_schema_extra={"additionalProperties": False})


class Document(Body):
    """Objects by their names.  Those that aren't named here are left alone."""

    def entries(self) -> StoredDocument:
        """Give what the store works with: every field, lists as the tuples that entities have."""
        return {
            section: {name: _values(entry) for name, entry in getattr(self, section).items()}
            for section in type(self).model_fields
        }


_SECTIONS: Mapping[str, type[Body]] = {
    "sites": SiteEntry,
    "connectors": ConnectorEntry,
    "policies": PolicyEntry,
    "users": UserEntry,
    "groups": GroupEntry,
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
    """One thing that is done; C{path} says where in the document."""

    action: Literal["create", "change", "delete"]
    path: str
    fields: list[FieldChanged]


class Applied(Shown):
    """What was done, or would be; nothing when all was so already."""

    dry_run: bool
    steps: list[Step]


def applied(steps: list[StoredStep], dry_run: bool) -> Applied:
    """Show what applying a document did."""
    return Applied(dry_run=dry_run, steps=[Step.model_validate(_shown(step)) for step in steps])


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
    """Write a document as it is sent, without what goes without saying: empty parts, defaults."""
    return {
        section: {name: _brief(values) for name, values in found[section].items()}
        for section in _SECTIONS
        if found[section]
    }


_UNSAID: Mapping[str, Any] = {
    name: field.get_default(call_default_factory=True)
    for entry in (TunnelEntry, UserEntry, GroupEntry, PolicyEntry, AssignmentEntry, KeyEntry)
    for name, field in entry.model_fields.items()
    if not field.is_required()
}
"""What a field is when it is left out; alike in all entries that have one of this name."""


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

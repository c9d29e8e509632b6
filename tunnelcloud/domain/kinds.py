"""The table of kinds: the fields of each kind of object, described once.

A :class:`Setting` at an entity's attribute describes a field that administrators set.  The store,
the API, the portal's forms, the command line, the configuration document and the reference all read
it here: a new field is one attribute of its entity, and a migration.  Rules of a single kind are
beside that kind's own code.

Pure: it knows neither a database nor a page.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

import attrs
from attrs import frozen


class FieldType(enum.Enum):
    """The type of a setting's value; the rules for each are where values are read."""

    NAME = enum.auto()
    USER_NAME = enum.auto()
    EMAIL = enum.auto()
    TEXT = enum.auto()
    LONG_TEXT = enum.auto()
    FLAG = enum.auto()
    CHOICE = enum.auto()
    NUMBER = enum.auto()
    SECONDS = enum.auto()
    MOMENT = enum.auto()
    HOST = enum.auto()
    HOST_NAME = enum.auto()
    PORTS = enum.auto()
    NETWORKS = enum.auto()
    WINDOWS = enum.auto()
    WORDS = enum.auto()
    GROUPS_BY_VALUE = enum.auto()
    URL = enum.auto()
    REFERENCE = enum.auto()


class _Default(enum.Enum):
    REQUIRED = enum.auto()


REQUIRED: Any = _Default.REQUIRED
"""The default of a field without one."""


@frozen
class Setting:
    """The description of one field that administrators set.

    :ivar label: its label in forms.
    :ivar hint: the text below it in a form.
    :ivar option: the command line's option, ``--yes/--no`` for a flag; by default made of the
        field's name; None for no option.
    :ivar help: the option's help; by default the label.
    :ivar heading: of its column in the command line's table; empty for no column.
    :ivar spare: whether a narrow terminal leaves that column out.
    :ivar minimum: of a number, or of a text's length.
    :ivar maximum: of a number, of a text's length, or of how many there may be.
    :ivar choices: the values of a choice, with their labels in a form.
    :ivar reference: the kind that it refers to, by its noun.
    :ivar fixed: whether it never changes after the object was created.
    :ivar folded: whether forms show it only when unfolded.
    :ivar sample: its value in an example; None leaves the field out.
    :ivar decides: whether decisions read it, so that a change may end connections.
    :ivar in_form: whether the portal's form asks for it.
    :ivar initial: the value in a new object, if its attribute has no default.
    """

    type: FieldType
    label: str
    hint: str = ""
    option: str | None = ""
    help: str = ""
    heading: str = ""
    spare: bool = False
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[tuple[str, str], ...] = ()
    reference: str = ""
    fixed: bool = False
    folded: bool = False
    sample: Any = None
    decides: bool = True
    in_form: bool = True
    initial: Any = REQUIRED


@frozen
class FieldOfKind:
    """A setting as an attribute of an entity.

    :ivar default: the value in a new object; :data:`REQUIRED` if it has to be given.
    :ivar annotation: the attribute's type, without the setting.
    """

    name: str
    setting: Setting
    default: Any
    annotation: Any

    @property
    def option(self) -> str | None:
        """Give the command line's option that sets it."""
        if self.setting.option != "" or self.name == "name":
            return self.setting.option or None
        words = self.name_in_document.replace("_", "-")
        flag = self.setting.type is FieldType.FLAG
        return f"--{words}/--no-{words}" if flag else f"--{words}"

    @property
    def help(self) -> str:
        """Say what the option is for."""
        return self.setting.help or f"{self.setting.label}."

    @property
    def name_in_document(self) -> str:
        """Its name in a document, where references are names, not ids."""
        return self.name.removesuffix("_id") if self.setting.reference else self.name

    @property
    def required(self) -> bool:
        """Whether a new object needs it."""
        return self.default is REQUIRED

    @property
    def optional(self) -> bool:
        """Whether it may be null."""
        return self.default is None

    @property
    def many(self) -> bool:
        """Whether it is a list."""
        return self.setting.type in (
            FieldType.PORTS,
            FieldType.NETWORKS,
            FieldType.WINDOWS,
            FieldType.WORDS,
        )


@frozen
class Kind:
    """One kind of object.

    :ivar noun: as in the audit, such as ``identity_provider``.
    :ivar plural: as in the API's paths, such as ``identity-providers``.
    :ivar entity: the class of its values.
    :ivar fields: in the order of the entity's attributes.
    :ivar asked_first: what forms ask first, by name; the other fields follow.
    """

    noun: str
    plural: str
    entity: type
    fields: tuple[FieldOfKind, ...]
    asked_first: tuple[str, ...] = ()

    @property
    def form(self) -> tuple[FieldOfKind, ...]:
        """Give the fields in the order in which people are asked for them."""
        first = [self.by_name[name] for name in self.asked_first]
        return (*first, *(one for one in self.fields if one not in first))

    @property
    def by_name(self) -> Mapping[str, FieldOfKind]:
        """Give the fields by their names."""
        return {one.name: one for one in self.fields}

    def values_of(self, entity: Any) -> dict[str, Any]:
        """Give what an object has: its id, its time of creation and its settings."""
        names = ["id", "created_at", *(one.name for one in self.fields)]
        return {name: getattr(entity, name) for name in names}

    def with_defaults(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Complete a new object's values with defaults.

        :raise TypeError: a value is missing, or there is no such field.
        """
        unknown = set(values) - {one.name for one in self.fields}
        missing = {one.name for one in self.fields if one.required} - set(values)
        if unknown or missing:
            raise TypeError(f"{self.noun}: unknown {sorted(unknown)}, missing {sorted(missing)}")
        return {one.name: values.get(one.name, one.default) for one in self.fields}


def kind_of(noun: str, plural: str, entity: type, asked_first: Sequence[str] = ()) -> Kind:
    """Read an entity's settings into a kind; the parameters are those of :class:`Kind`."""
    hints = get_type_hints(entity, include_extras=True)
    found = []
    for one in attrs.fields(entity):
        hint = hints[one.name]
        for extra in getattr(hint, "__metadata__", ()):
            if isinstance(extra, Setting):
                default = extra.initial if one.default is attrs.NOTHING else one.default
                if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
                    default = default.factory()
                found.append(FieldOfKind(one.name, extra, default, hint.__origin__))
    return Kind(noun, plural, entity, tuple(found), tuple(asked_first))

"""The table of kinds: what each kind of object has, said once.

An entity's attribute says with a :class:`Setting` what administrators set there.  What the store,
the API, the portal's forms, the command line, the configuration document and the reference know of
a field comes from here: a new field is one attribute of its entity, and a migration.  Rules that
one kind alone has stand beside that kind's own code.

Pure: it knows neither a database nor a page.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

import attrs
from attrs import frozen


class FieldType(enum.Enum):
    """What a setting's value is; the rules for each stand where values come in."""

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
"""Stands for the default of a field that has none."""


@frozen
class Setting:
    """What is to be known of one field that administrators set.

    :ivar label: what forms call it.
    :ivar hint: what stands below it in a form.
    :ivar option: the command line's option, ``--yes/--no`` for a flag; by default it is made of
        the field's name, and None is none.
    :ivar help: what the command line says of it; by default the label.
    :ivar heading: of its column in the command line's table; empty for no column.
    :ivar spare: a narrow terminal may do without that column.
    :ivar minimum: of a number, or of a text's length.
    :ivar maximum: of a number, of a text's length, or of how many there may be.
    :ivar choices: the values of a choice, and what a form says for each.
    :ivar reference: the kind that it refers to, by its noun.
    :ivar fixed: it never changes after the object was made.
    :ivar folded: forms show it only when they are asked to.
    :ivar sample: what an example has; None leaves the field out.
    :ivar decides: decisions read it: a change concerns who may use what.
    :ivar in_form: whether the portal's form asks for it.
    :ivar initial: what a new object has, where its attribute has no default.
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
    """A setting in its place: as which attribute of which values.

    :ivar default: what a new object has; :data:`REQUIRED` if it has to be said.
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
        """What a document calls it: there objects are referred to by their names, not by ids."""
        return self.name.removesuffix("_id") if self.setting.reference else self.name

    @property
    def required(self) -> bool:
        """Whether a new object can't do without it."""
        return self.default is REQUIRED

    @property
    def optional(self) -> bool:
        """Whether it may be nothing at all (null)."""
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
        """Complete what a new object is made of.

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

"""Named objects as data for commands: their options, columns and references.

They come from the table of kinds; `crud` makes `create list show set delete` of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click
from attrs import frozen

from tunnelcloud.cli.output import shown, shown_seconds, shown_time
from tunnelcloud.cli.parameters import ON_THIS_CLOCK, count, duration, secret, time, whole
from tunnelcloud.domain import objects as kinds
from tunnelcloud.domain.kinds import FieldOfKind, FieldType, Kind


@frozen
class Option:
    """An option of ``create`` and ``set``, and the field of the API it fills.

    :ivar kind: reads the text; None for a switch such as ``--service/--no-service``.
    :ivar refers: the noun whose name or id is expected.
    :ivar required: whether ``create`` needs it.
    :ivar fixed: whether ``set`` lacks it.
    :ivar pairs: whether it may be repeated, each time as ``VALUE=NAME``.
    :ivar clears: whether ``set`` takes an empty text, which removes the value.
    """

    flag: str
    field: str
    help: str
    kind: Callable[[str], object] | click.ParamType[Any] | None = str
    many: bool = False
    refers: str | None = None
    required: bool = False
    clears: bool = False
    pairs: bool = False
    fixed: bool = False


@frozen
class Column:
    """A column of a table: its heading, the API's field, and how a value is shown.

    :ivar spare: whether it is left out on a narrow terminal.
    """

    heading: str
    field: str
    show: Callable[[object], str] = shown
    refers: str | None = None
    spare: bool = False


@frozen
class Noun:
    """A kind of named object: its words, its path in the API and its fields.

    :ivar has_cost: whether the API says what a deletion cuts.
    :ivar has_preview: whether it says what a change would cut, without making it.
    """

    name: str
    help: str
    options: tuple[Option, ...]
    columns: tuple[Column, ...]
    has_cost: bool = True
    has_preview: bool = False


_NAME = Column("name", "name")
_ID = Column("id", "id", spare=True)

_READERS: Mapping[FieldType, Callable[[str], object] | None] = {
    FieldType.FLAG: None,
    FieldType.SECONDS: duration,
    FieldType.MOMENT: time,
}
_SHOWN: Mapping[FieldType, Callable[[object], str]] = {
    FieldType.SECONDS: shown_seconds,
    FieldType.MOMENT: shown_time,
}


def noun_of(
    kind: Kind,
    help_text: str,
    *columns: Column,
    options: tuple[Option, ...] = (),
    has_cost: bool = True,
    has_preview: bool = False,
) -> Noun:
    """Make a noun of a kind: its options and columns are those of the table of kinds.

    :param columns: further ones, of what the API alone knows.
    :param options: further ones, of what is no field.
    """
    fields = sorted(kind.fields, key=lambda one: one.name == "title")
    return Noun(
        kind.noun.replace("_", "-"),
        help_text,
        (*(_option(one) for one in fields if one.option), *options),
        (
            _NAME,
            *(_column(one) for one in kind.fields if one.setting.heading),
            *columns,
            _ID,
        ),
        has_cost,
        has_preview,
    )


def _option(one: FieldOfKind) -> Option:
    setting = one.setting
    return Option(
        one.option or "",
        one.name,
        f"{one.help[:-1]}; {ON_THIS_CLOCK}." if setting.type is FieldType.MOMENT else one.help,
        _reader(one),
        many=one.many or setting.type is FieldType.GROUPS_BY_VALUE,
        refers=setting.reference or None,
        required=one.required,
        clears=one.optional,
        pairs=setting.type is FieldType.GROUPS_BY_VALUE,
        fixed=setting.fixed,
    )


def _reader(one: FieldOfKind) -> Callable[[str], object] | click.ParamType[Any] | None:
    setting = one.setting
    if setting.type is FieldType.CHOICE:
        return click.Choice([value for value, _ in setting.choices])
    if setting.type is FieldType.NUMBER:
        return whole if (setting.minimum or 0) < 1 else count
    return _READERS.get(setting.type, str)


def _column(one: FieldOfKind) -> Column:
    setting = one.setting
    show = _SHOWN.get(setting.type, shown)
    return Column(setting.heading, one.name, show, setting.reference or None, setting.spare)


def _shown_attached(value: object) -> str:
    return f"{value['pods']} of {value['of']} pods" if isinstance(value, dict) else ""


SITE = noun_of(kinds.SITE, "Private networks with connectors and tunnels.")
CONNECTOR = noun_of(
    kinds.CONNECTOR,
    "Processes in a site that dial out to the pods.",
    Column("status", "status"),
    Column("attached to", "attached_to", _shown_attached, spare=True),
    Column("version", "version", spare=True),
    Column("last seen", "last_seen_at", shown_time, spare=True),
)
TUNNEL = noun_of(kinds.TUNNEL, "Published TCP services.", Column("state", "state"))
USER = noun_of(kinds.USER, "People and service accounts.")
GROUP = noun_of(kinds.GROUP, "Users that are assigned together.")
POLICY = noun_of(kinds.POLICY, "Conditions that must all hold.", has_preview=True)
IDENTITY_PROVIDER = noun_of(
    kinds.IDENTITY_PROVIDER,
    "OpenID providers through which people sign in.",
    Column("redirect uri", "redirect_uri", spare=True),
    has_cost=False,
    options=(
        Option(
            "--client-secret-file",
            "client_secret",
            "A file that holds the client secret.",
            secret,
        ),
    ),
)

IDENTITY_COLUMNS = (
    Column("provider", "provider_name"),
    Column("subject", "subject"),
    Column("linked", "created_at", shown_time),
    Column("last used", "last_used_at", shown_time, spare=True),
)
"""Of a user's identities at providers."""

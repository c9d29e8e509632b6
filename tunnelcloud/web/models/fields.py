"""The kinds of values that bodies and queries are made of.

The rules are the domain's; here they become pydantic's, with their place in the JSON schema.
Pydantic builds what checks and shows a model's values when the model is used first
(``defer_build``): that takes a few milliseconds, and most pods use few of the models.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from tunnelcloud.domain.addresses import read_network
from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.domain.names import (
    merge_ports,
    parse_ports,
    read_email,
    read_external_address,
    read_host,
    read_name,
    read_user_name,
)
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.schedule import Window, parse_window
from tunnelcloud.store.column_types import instant_text

MAX_PAGE = 200

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::(\d\d)(?:\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII
)


class Body(BaseModel):
    """What a client sends: no unknown field, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    def given(self) -> dict[str, Any]:
        """Give the fields that were sent, by name; lists as the tuples that entities have."""
        values = {name: getattr(self, name) for name in self.model_fields_set}
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }


def _without_defaults(schema: dict[str, Any]) -> None:
    for described in schema["properties"].values():
        described.pop("default", None)


class Change(Body):
    """What a client sends to change an object: a field that is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


def one_of(*names: str) -> Callable[[dict[str, Any]], None]:
    """Say in a model's schema that exactly one of some fields is given, and is a text."""

    def say(schema: dict[str, Any]) -> None:
        schema["oneOf"] = [
            {"required": [name], "properties": {name: {"type": "string"}}} for name in names
        ]

    return say


class Shown(BaseModel):
    """What a client is shown; made from an entity's attributes of the same names."""

    model_config = ConfigDict(
        from_attributes=True, frozen=True, arbitrary_types_allowed=True, defer_build=True
    )


_Item = TypeVar("_Item", bound=Shown)


class Page(BaseModel, Generic[_Item]):
    """A part of a collection; without ``next_cursor`` there is no more."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    items: list[_Item]
    next_cursor: str | None


def page_model(item: type[Shown]) -> type[BaseModel]:
    """Make the model of a page of a collection whose items are such."""
    return Page[item]  # type: ignore[valid-type]


def _text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("has a character that can't be kept: type it anew")
    return value


def _instant(value: object) -> datetime:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str) and (match := _INSTANT.fullmatch(value)):
        # A leap second is the last moment of its minute, as far as computers know.
        text = value.upper() if match[1] != "60" else f"{value[:17]}59.999{match[2].upper()}"
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("there is no such time") from None
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            # Just outside of what there is in UTC, by its zone.
            moment = (datetime.min if moment.year == 1 else datetime.max).replace(tzinfo=UTC)
    else:
        raise ValueError("use a time with its zone, such as 2026-01-31T09:00:00Z")
    # Kept to the millisecond: what is shown is what was kept.
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _network(value: str) -> str:
    return str(read_network(value))


def _parsed(parse: Callable[[str], Any], kind: type) -> Callable[[object], Any]:
    def validate(value: object) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str):
            raise ValueError("must be a text")
        return parse(value)

    return validate


def _whole(value: object) -> object:
    # JSON has one kind of number: 1.0 is a whole one.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _port_text(value: object) -> object:
    # A single port may be sent as the number that it is.
    value = _whole(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Instant = Annotated[
    datetime,
    PlainValidator(_instant),
    PlainSerializer(instant_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time; shown in UTC to the millisecond."""

WHOLE = BeforeValidator(_whole)
Text = Annotated[str, AfterValidator(_text), Field(json_schema_extra={"pattern": "^[^\\u0000]*$"})]
Words = Annotated[Text, Field(max_length=200)]
Title = Annotated[Text, Field(max_length=200)]
# What a rule of the domain's refuses at length would only be echoed at length.
Name = Annotated[
    str,
    AfterValidator(read_name),
    Field(max_length=63, json_schema_extra={"pattern": "^[a-z0-9-]{1,63}$"}),
]
UserName = Annotated[
    str,
    AfterValidator(read_user_name),
    Field(max_length=64, json_schema_extra={"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}),
]
_NOT_EMPTY = {"minLength": 1}
Email = Annotated[
    str, AfterValidator(read_email), Field(max_length=254, json_schema_extra={"format": "email"})
]
_HOST_FORMATS = {"anyOf": [{"format": name} for name in ("hostname", "ipv4", "ipv6")]}
Host = Annotated[
    str,
    AfterValidator(read_host),
    Field(max_length=255, json_schema_extra={**_NOT_EMPTY, **_HOST_FORMATS}),
]
ExternalAddress = Annotated[
    str,
    AfterValidator(read_external_address),
    Field(max_length=255, json_schema_extra={**_NOT_EMPTY, "format": "hostname"}),
]
Network = Annotated[
    str,
    AfterValidator(_network),
    Field(max_length=64, json_schema_extra={"format": "ip-network"}),
]
Id = Annotated[Text, Field(min_length=1, max_length=320)]
"""Refers to another object; a name isn't taken here, so that a reference stays what it was."""

Port = Annotated[int, Field(ge=1, le=65535), WHOLE]
_PORTS_SCHEMA: dict[str, Any] = {
    "type": "string",
    "format": "port-range",
    "pattern": r"^[0-9]{1,5}(-[0-9]{1,5})?$",
    "examples": ["5432", "8000-8010"],
}
_PORT_OR_PORTS_SCHEMA: dict[str, Any] = {
    "anyOf": [_PORTS_SCHEMA, {"type": "integer", "minimum": 1, "maximum": 65535}]
}
Ports = Annotated[
    PortRange,
    PlainValidator(_parsed(parse_ports, PortRange)),
    BeforeValidator(_port_text),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(_PORTS_SCHEMA, mode="serialization"),
    WithJsonSchema(_PORT_OR_PORTS_SCHEMA, mode="validation"),
]
_FEW_PORTS = Field(min_length=1, max_length=64)
_merged = AfterValidator(lambda ports: list(merge_ports(ports)))
PortList = Annotated[list[Ports], _FEW_PORTS, _merged]
WrittenPortList = Annotated[
    list[Annotated[Ports, WithJsonSchema(_PORT_OR_PORTS_SCHEMA, mode="serialization")]],
    _FEW_PORTS,
    _merged,
]
"""As people write it in a document, and as one is exported: a single port is a number."""
WeeklyWindow = Annotated[
    Window,
    PlainValidator(_parsed(parse_window, Window)),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "weekly-window",
            "examples": ["Mon-Fri 09:00-18:00 Europe/Paris"],
        }
    ),
]


class StoreQuery(BaseModel):
    """What is asked of the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def filters(self) -> dict[str, Any]:
        """Return the filters that are set."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            # What matches a name needs its case as little as the name does.
            name: folded(value) if name == "name" else value
            for name, value in given.items()
            if value is not None
        }


class PageQuery(StoreQuery):
    """What every collection may be asked."""

    limit: int = Field(default=50, ge=1, le=MAX_PAGE, description="How many at most.")
    cursor: Text | None = Field(
        default=None, max_length=512, description="Where the page before ended: its next_cursor."
    )


class Order:
    """The ways to order a list: by name, by the time of creation, and more.

    :param names: of the others, as the store's listing has them; ``-`` in front is descending.
    """

    def __init__(self, *names: str) -> None:
        self._ways = [way for name in ("name", "created_at", *names) for way in (name, f"-{name}")]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """Take one of the ways."""
        return core_schema.literal_schema(self._ways)


class NamedQuery(PageQuery):
    """Asks a collection of named objects."""

    name: Text | None = Field(default=None, description="The one with exactly this name.")
    q: Words | None = Field(
        default=None, description="Those with this in the name, the title or an address."
    )
    sort: Annotated[str, Order()] = "created_at"

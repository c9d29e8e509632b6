"""Fields of forms: from what the API has to what a browser shows, and back.

What is typed is only brought into the API's shape here; the API's models say whether it is right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from tunnelcloud.domain.durations import BadLength, length_text, read_length
from tunnelcloud.domain.kinds import FieldOfKind, FieldType, Kind
from tunnelcloud.web.portal.page_requests import Visit
from tunnelcloud.web.portal.schedule_fields import fault_of_hours, typed_hours, typed_networks


class FieldKind(StrEnum):
    """How a field is shown, and how typed text becomes its value."""

    TEXT = "text"
    AREA = "area"
    NUMBER = "number"
    DURATION = "duration"
    CHECK = "check"
    CHOICE = "choice"
    REFERENCE = "reference"
    SEVERAL = "several"
    HOURS = "hours"
    NETWORKS = "networks"
    PAIRS = "pairs"
    WORDS = "words"
    MOMENT = "moment"
    SECRET = "secret"  # noqa: S105  (a kind of field)


@frozen
class Field:
    """One field of a form.

    :ivar choices: the values of a choice and what stands for them.
    :ivar reference: the kind of object whose name is typed, such as ``site``.
    :ivar optional: nothing typed is no value.
    :ivar fixed: it can't be changed later.
    :ivar more: it is seldom needed, and folded away.
    :ivar unit: of a length of time: how many seconds the API counts as one.
    :ivar minimum: of a length of time, as the API counts it.
    :ivar maximum: as ``minimum``.
    :ivar sample: what an example of the API's has; None leaves it out.
    :ivar flag: the command line's option for it; ``--yes/--no`` for one that is ticked.
    """

    name: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    hint: str = ""
    choices: Sequence[tuple[str, str]] = ()
    reference: str = ""
    optional: bool = False
    fixed: bool = False
    more: bool = False
    flag: str = ""
    default: Any = field(default="")
    sample: Any = None
    unit: int = 1
    minimum: int | None = None
    maximum: int | None = None


_KINDS: Mapping[FieldType, FieldKind] = {
    FieldType.LONG_TEXT: FieldKind.AREA,
    FieldType.FLAG: FieldKind.CHECK,
    FieldType.CHOICE: FieldKind.CHOICE,
    FieldType.REFERENCE: FieldKind.REFERENCE,
    FieldType.NUMBER: FieldKind.NUMBER,
    FieldType.SECONDS: FieldKind.DURATION,
    FieldType.MOMENT: FieldKind.MOMENT,
    FieldType.PORTS: FieldKind.WORDS,
    FieldType.WORDS: FieldKind.WORDS,
    FieldType.NETWORKS: FieldKind.NETWORKS,
    FieldType.WINDOWS: FieldKind.HOURS,
    FieldType.GROUPS_BY_VALUE: FieldKind.PAIRS,
}
"""How each type of setting is asked for, where it isn't a line of text."""


def form_fields(kind: Kind) -> tuple[Field, ...]:
    """Make the fields of a kind's form from the table of kinds."""
    return tuple(_form_field(one) for one in kind.form if one.setting.in_form)


def _form_field(one: FieldOfKind) -> Field:
    setting = one.setting
    return Field(
        one.name,
        setting.label,
        _KINDS.get(setting.type, FieldKind.TEXT),
        setting.hint,
        choices=setting.choices,
        reference=setting.reference,
        optional=one.optional,
        fixed=setting.fixed,
        more=setting.folded,
        flag=one.option or "",
        default=_form_default(one),
        sample=setting.sample,
        minimum=setting.minimum,
        maximum=setting.maximum,
    )


def _form_default(one: FieldOfKind) -> Any:
    if one.required or one.default in (None, (), {}):
        return ""
    return list(one.default) if one.many else one.default


def shown_of(fields: Sequence[Field], item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an API object as its form shows it; of a secret, whether there is one."""
    return {
        one.name: item[f"has_{one.name}"]
        if one.kind is FieldKind.SECRET
        else shown(one, item[one.name])
        for one in fields
    }


def typed_of(fields: Sequence[Field], visit: Visit) -> dict[str, Any]:
    """Return the typed values of a form, to show them again; without secrets."""
    return {one.name: typed(one, visit) for one in fields if one.kind is not FieldKind.SECRET}


def shown(one: Field, value: Any) -> Any:
    """Give a value of the API's as the form has it."""
    if one.kind in (FieldKind.CHECK, FieldKind.SEVERAL):
        return value
    if value is None:
        return ""
    if one.kind in (FieldKind.HOURS, FieldKind.NETWORKS):
        return "\n".join(value) if isinstance(value, list) else value
    if one.kind is FieldKind.PAIRS and isinstance(value, dict):
        return "\n".join(f"{key} = {name}" for key, name in value.items())
    if one.kind is FieldKind.WORDS:
        return ", ".join(value) if isinstance(value, list) else value
    if one.kind is FieldKind.MOMENT:
        return value[:19]
    if one.kind is FieldKind.DURATION and isinstance(value, int):
        return length_text(value * one.unit)
    return str(value)


def typed(one: Field, visit: Visit) -> Any:
    """Return the typed value, as the form shows it again."""
    if one.kind is FieldKind.CHECK:
        return one.name in visit.form
    if one.kind is FieldKind.SEVERAL:
        return list(visit.form.get(one.name, ()))
    if one.kind is FieldKind.HOURS:
        return typed_hours(one.name, visit)
    if one.kind is FieldKind.NETWORKS:
        return typed_networks(one.name, visit)
    return visit.typed(one.name).replace("\r\n", "\n")


def wanted(one: Field, visit: Visit) -> Any:
    """Return the typed value, as the API takes it."""
    value = typed(one, visit)
    if not isinstance(value, str):
        return value
    if one.kind in (FieldKind.HOURS, FieldKind.NETWORKS):
        return _lines(value)
    if one.kind is FieldKind.WORDS:
        return re.findall(r"[^\s,]+", value)
    if one.kind is FieldKind.PAIRS:
        return value if _no_pair(value) else dict(_pair(line) for line in _lines(value))
    value = value if one.kind is FieldKind.AREA else value.strip()
    if not value and one.optional:
        return None
    if one.kind is FieldKind.NUMBER and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    if one.kind is FieldKind.DURATION:
        return in_units(one, value)
    if one.kind is FieldKind.MOMENT:
        return f"{value}Z"
    return value


def _lines(value: str) -> list[str]:
    return [line.strip() for line in value.splitlines() if line.strip()]


def _pair(line: str) -> tuple[str, str]:
    value, _, name = line.rpartition("=")
    return value.strip(), name.strip()


def _no_pair(value: str) -> str:
    """Return the first line that isn't ``value = name``; empty when there is none."""
    return next((line for line in _lines(value) if not _pair(line)[0]), "")


def in_units(one: Field, value: str) -> int | str:
    """Return a length of time in the API's unit, or the typed text if that is impossible."""
    try:
        count, rest = divmod(read_length(value), one.unit)
    except BadLength:
        return value
    return value if rest else count


def body_of(fields: Sequence[Field], visit: Visit) -> Mapping[str, Any]:
    """Give the body of an operation for a form that was sent.

    An empty secret field keeps the secret; a tick removes it.
    """
    body = {one.name: wanted(one, visit) for one in fields}
    for one in fields:
        if one.kind is FieldKind.SECRET:
            if f"no_{one.name}" in visit.form:
                body[one.name] = None
            elif not body[one.name]:
                del body[one.name]
    return body


def expiry(day: str) -> str | None:
    """Give the end of a typed day as the time at which something expires; None for no day."""
    day = day.strip()
    return f"{day}T23:59:59Z" if day else None


def fault_of_day(day: str, fault: str) -> str:
    """Return the fault of a typed day: the API's, or our own where no day was typed."""
    try:
        date.fromisoformat(day.strip())
    except ValueError:
        return "use a day, such as 2026-01-31"
    return fault


def with_faults_of_days(errors: Mapping[str, str], visit: Visit) -> dict[str, str]:
    """Return the faults of a form whose ``expires_at`` is a day."""
    return {
        name: fault_of_day(visit.typed(name), fault) if name == "expires_at" else fault
        for name, fault in errors.items()
    }


def fault_of(one: Field, value: Any, fault: str) -> str:
    """Return the text for a field's fault: the API's, or our own where it sees another text."""
    if one.kind is FieldKind.PAIRS and _no_pair(value):
        return f"{_no_pair(value)[:60]!r}: use value = group, such as db-admins = dba"
    if one.kind is FieldKind.HOURS:
        return fault_of_hours(value, fault)
    if one.kind is FieldKind.MOMENT:
        return _fault_of_moment(value, fault)
    if one.kind is not FieldKind.DURATION or not value:
        return fault
    try:
        seconds = read_length(str(value))
    except BadLength as error:
        return str(error)
    if one.minimum is not None and seconds < one.minimum * one.unit:
        return f"use {length_text(one.minimum * one.unit)} or more"
    if one.maximum is not None and seconds > one.maximum * one.unit:
        return f"use {length_text(one.maximum * one.unit)} or less"
    return (
        fault if seconds % one.unit == 0 else f"use whole days, such as {seconds // one.unit + 1}d"
    )


def _fault_of_moment(value: str, fault: str) -> str:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return "use a day and a time, such as 2026-01-31T09:00"
    return fault


def faults_of(
    fields: Sequence[Field], given: Mapping[str, Any], errors: Mapping[str, str]
) -> dict[str, str]:
    """Return the faults of a form's fields, by their names; other faults stay as they are.

    :param given: what was typed.
    """
    said = {
        one.name: fault_of(one, given[one.name], errors[one.name])
        for one in fields
        if one.name in errors
    }
    return {**errors, **said}

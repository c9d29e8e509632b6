"""Fields of forms: from what the API has to what a browser shows, and back.

What is typed is only brought into the API's shape here; the API's models say whether it is right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from tunnelcloud.domain.kinds import FieldOfKind, FieldType, Kind
from tunnelcloud.domain.objects import KINDS
from tunnelcloud.web.portal.page_requests import Visit


class FieldKind(StrEnum):
    """How a field is shown, and what becomes of what is typed."""

    TEXT = "text"
    AREA = "area"
    NUMBER = "number"
    DURATION = "duration"
    CHECK = "check"
    CHOICE = "choice"
    SEVERAL = "several"
    LINES = "lines"
    WORDS = "words"
    MOMENT = "moment"
    SECRET = "secret"  # noqa: S105  (a kind of field)


@frozen
class Field:
    """One field of a form.

    :ivar choices: the values of a choice and what stands for them.
    :ivar reference: the collection whose objects are the choices, such as C{sites}.
    :ivar optional: nothing typed is no value.
    :ivar fixed: it can't be changed later.
    :ivar more: it is seldom needed, and folded away.
    :ivar sample: what an example of the API's has; None leaves it out.
    :ivar flag: the command line's option for it; C{--yes/--no} for one that is ticked.
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


_KINDS: Mapping[FieldType, FieldKind] = {
    FieldType.LONG_TEXT: FieldKind.AREA,
    FieldType.FLAG: FieldKind.CHECK,
    FieldType.CHOICE: FieldKind.CHOICE,
    FieldType.REFERENCE: FieldKind.CHOICE,
    FieldType.NUMBER: FieldKind.NUMBER,
    FieldType.SECONDS: FieldKind.DURATION,
    FieldType.MOMENT: FieldKind.MOMENT,
    FieldType.PORTS: FieldKind.WORDS,
    FieldType.WORDS: FieldKind.WORDS,
    FieldType.NETWORKS: FieldKind.LINES,
    FieldType.WINDOWS: FieldKind.LINES,
    FieldType.GROUPS_BY_VALUE: FieldKind.LINES,
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
        reference=KINDS[setting.reference].plural if setting.reference else "",
        optional=one.optional,
        fixed=setting.fixed,
        more=setting.folded,
        flag=one.option or "",
        default=_form_default(one),
        sample=setting.sample,
    )


def _form_default(one: FieldOfKind) -> Any:
    if one.required or one.default in (None, (), {}):
        return ""
    return list(one.default) if one.many else one.default


_LENGTH = re.compile(r"([0-9]{1,9})\s*([smhd])")
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}


def shown(one: Field, value: Any) -> Any:
    """Give a value of the API's as the form has it."""
    if one.kind in (FieldKind.CHECK, FieldKind.SEVERAL):
        return value
    if value is None:
        return ""
    if one.kind is FieldKind.LINES:
        return "\n".join(value) if isinstance(value, list) else value
    if one.kind is FieldKind.WORDS:
        return ", ".join(value) if isinstance(value, list) else value
    if one.kind is FieldKind.MOMENT:
        return value[:19]
    if one.kind is FieldKind.DURATION and isinstance(value, int):
        unit = next(unit for unit, seconds in _SECONDS.items() if value % seconds == 0)
        return f"{value // _SECONDS[unit]}{unit}"
    return str(value)


def typed(one: Field, visit: Visit) -> Any:
    """Give what was typed, as the form shows it again."""
    if one.kind is FieldKind.CHECK:
        return one.name in visit.form
    if one.kind is FieldKind.SEVERAL:
        return list(visit.form.get(one.name, ()))
    return visit.typed(one.name).replace("\r\n", "\n")


def wanted(one: Field, visit: Visit) -> Any:
    """Give what was typed, in the API's shape."""
    value = typed(one, visit)
    if not isinstance(value, str):
        return value
    if one.kind is FieldKind.LINES:
        return [line.strip() for line in value.splitlines() if line.strip()]
    if one.kind is FieldKind.WORDS:
        return re.findall(r"[^\s,]+", value)
    value = value if one.kind is FieldKind.AREA else value.strip()
    if not value and one.optional:
        return None
    if one.kind is FieldKind.NUMBER and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    length = _LENGTH.fullmatch(value) if one.kind is FieldKind.DURATION else None
    if length is not None:
        return int(length[1]) * _SECONDS[length[2]]
    if one.kind is FieldKind.MOMENT:
        return f"{value}Z"
    return value


def body_of(fields: Sequence[Field], visit: Visit) -> Mapping[str, Any]:
    """Give the body of an operation for a form that was sent."""
    return {one.name: wanted(one, visit) for one in fields}


def fault_of(one: Field, value: Any, fault: str) -> str:
    """Give what to say of a field: what the API says, but for what it never sees as typed."""
    if one.kind is FieldKind.DURATION and value and not _LENGTH.fullmatch(str(value)):
        return "use a number and a unit, such as 30s, 10m, 8h or 7d"
    return fault

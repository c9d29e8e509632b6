"""The models of what administrators make, derived from the table of kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field, create_model

from tunnelcloud.domain.kinds import FieldOfKind, FieldType, Kind, Setting
from tunnelcloud.web.models.fields import (
    WHOLE,
    Body,
    Change,
    Email,
    ExternalAddress,
    Host,
    Id,
    Instant,
    Name,
    Network,
    PortList,
    Ports,
    Shown,
    Text,
    UserName,
    WeeklyWindow,
    WrittenPortList,
)

_WORD = r"[!#-\[\]-~]{1,100}"


def _word(value: str) -> str:
    if not re.fullmatch(_WORD, value):
        raise ValueError("use 1 to 100 letters, digits and signs, without blanks and quotes")
    return value


Word = Annotated[str, AfterValidator(_word), Field(json_schema_extra={"pattern": f"^{_WORD}$"})]
GroupValue = Annotated[Text, Field(min_length=1, max_length=300)]
_Model = TypeVar("_Model", bound=BaseModel)

_SENT: Mapping[FieldType, Any] = {
    FieldType.NAME: Name,
    FieldType.USER_NAME: UserName,
    FieldType.EMAIL: Email,
    FieldType.FLAG: bool,
    FieldType.MOMENT: Instant,
    FieldType.HOST: Host,
    FieldType.HOST_NAME: ExternalAddress,
    FieldType.PORTS: PortList,
    FieldType.REFERENCE: Id,
}
"""What a client sends, where the type alone says it."""

_SHOWN: Mapping[FieldType, Any] = {
    FieldType.MOMENT: Instant,
    FieldType.PORTS: list[Ports],
    FieldType.NETWORKS: list[str],
    FieldType.WORDS: list[str],
    FieldType.WINDOWS: list[WeeklyWindow],
    FieldType.GROUPS_BY_VALUE: dict[str, str],
}
"""What a client is shown, where it isn't the attribute's own type."""


def new_model(kind: Kind, name: str, text: str, **more: Any) -> type[Body]:
    """Make the model of a new object.

    :param name: the model's, as the API's description has it.
    :param text: what the model is, for that description.
    :param more: further fields, as ``pydantic.create_model`` takes them.
    """
    fields = {one.name: _described(one, _sent(one), _default(one)) for one in kind.form}
    return _made(Body, name, text, {**fields, **more})


def change_model(kind: Kind, name: str, text: str, **more: Any) -> type[Change]:
    """Make the model of a change: each field may be left out; as :func:`new_model`."""
    changeable = [one for one in kind.form if not one.setting.fixed]
    fields = {one.name: _described(one, _sent(one), None) for one in changeable}
    return _made(Change, name, text, {**fields, **more})


def entry_model(kind: Kind, name: str, text: str, **more: Any) -> type[Body]:
    """Make the model of an object in a document, which stands there under its name."""
    fields = {
        one.name_in_document: _described(one, _written(one), _default(one))
        for one in kind.form
        if one.name != "name"
    }
    return _made(Body, name, text, {**fields, **more})


def shown_model(kind: Kind, name: str, text: str, **more: Any) -> type[Shown]:
    """Make the model of an object as it is shown; as :func:`new_model`."""
    head: dict[str, Any] = {"id": (str, ...), "name": (str, ...), "title": (str, ...)}
    fields = {one.name: _described(one, _shown(one), ...) for one in kind.fields}
    return _made(Shown, name, text, {**head, "created_at": (Instant, ...), **fields, **more})


def shown_record(name: str, text: str, **fields: Any) -> type[Shown]:
    """Make a model of what is shown that has derived models among its fields."""
    return _made(Shown, name, text, fields)


def _made(base: type[_Model], name: str, text: str, fields: Mapping[str, Any]) -> type[_Model]:
    make: Callable[..., type[_Model]] = create_model
    return make(name, __base__=base, __doc__=text, __module__=__name__, **fields)


def _described(one: FieldOfKind, values: Any, default: Any) -> tuple[Any, Any]:
    return values, Field(default, description=one.setting.label)


def _default(one: FieldOfKind) -> Any:
    if one.required:
        return ...
    return list(one.default) if one.many else one.default


def _sent(one: FieldOfKind) -> Any:
    sent = _with_bounds(one, one.setting)
    return sent | None if one.optional else sent


def _written(one: FieldOfKind) -> Any:
    if one.setting.type is FieldType.PORTS:
        return WrittenPortList
    return Name if one.setting.reference else _sent(one)


def _with_bounds(one: FieldOfKind, setting: Setting) -> Any:
    least, most = setting.minimum, setting.maximum
    match setting.type:
        case FieldType.TEXT | FieldType.LONG_TEXT | FieldType.URL:
            return Annotated[Text, Field(min_length=least, max_length=most)]
        case FieldType.NUMBER | FieldType.SECONDS:
            return Annotated[int, Field(ge=least, le=most), WHOLE]
        case FieldType.NETWORKS:
            return Annotated[list[Network], Field(max_length=most)]
        case FieldType.WINDOWS:
            return Annotated[list[WeeklyWindow], Field(max_length=most)]
        case FieldType.WORDS:
            return Annotated[list[Word], Field(max_length=most)]
        case FieldType.GROUPS_BY_VALUE:
            return Annotated[dict[GroupValue, Name], Field(max_length=most)]
        case FieldType.CHOICE:
            return Annotated[one.annotation, Field(strict=False)]
        case _:
            return _SENT[setting.type]


def _shown(one: FieldOfKind) -> Any:
    shown = _SHOWN.get(one.setting.type, one.annotation)
    # The annotation of an optional field allows None already.
    return shown | None if one.optional else shown

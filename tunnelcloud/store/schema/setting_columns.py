"""The columns of a kind's settings, made from the table of kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Text

from tunnelcloud.domain.kinds import FieldOfKind, FieldType, Kind
from tunnelcloud.domain.objects import KINDS
from tunnelcloud.store.column_types import (
    Choice,
    Document,
    ObjectId,
    Ports,
    Texts,
    Timestamp,
    Windows,
)
from tunnelcloud.store.schema.common_columns import naming

_TYPES: Mapping[FieldType, Any] = {
    FieldType.EMAIL: Text,
    FieldType.TEXT: Text,
    FieldType.LONG_TEXT: Text,
    FieldType.HOST: Text,
    FieldType.HOST_NAME: Text,
    FieldType.URL: Text,
    FieldType.FLAG: Boolean,
    FieldType.NUMBER: BigInteger,
    FieldType.SECONDS: BigInteger,
    FieldType.MOMENT: Timestamp,
    FieldType.PORTS: Ports,
    FieldType.NETWORKS: Texts,
    FieldType.WORDS: Texts,
    FieldType.WINDOWS: Windows,
    FieldType.GROUPS_BY_VALUE: Document,
}


def columns_of(kind: Kind, **special: Mapping[str, Any]) -> list[Column[Any]]:
    """Make the columns of a kind: its id, its name, and its settings.

    :param special: what a column has beside its type, by the field's name; ``type_`` replaces the
        type.
    """
    columns = naming(kind.noun)
    names = {column.name for column in columns}
    columns += [
        _column(one, dict(special.get(one.name, {})))
        for one in kind.fields
        if one.name not in names
    ]
    return columns


def _reference(one: FieldOfKind) -> Column[Any]:
    """Make a column that refers to another object: without it the row goes, or knows none."""
    target = KINDS[one.setting.reference].plural.replace("-", "_")
    gone = "SET NULL" if one.optional else "CASCADE"
    return Column(
        one.name,
        ObjectId(one.setting.reference),
        ForeignKey(f"{target}.id", ondelete=gone),
        nullable=one.optional,
        index=True,
    )


def _column(one: FieldOfKind, more: dict[str, Any]) -> Column[Any]:
    if one.setting.type is FieldType.REFERENCE:
        return _reference(one)
    kept_as = more.pop("type_", None)
    if kept_as is None and one.setting.type is FieldType.CHOICE:
        kept_as = Choice(one.annotation)
    return Column(one.name, kept_as or _TYPES[one.setting.type], nullable=one.optional, **more)

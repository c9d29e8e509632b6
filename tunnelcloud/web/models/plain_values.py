"""What a client is shown, as plain values: dictionaries, lists, texts and numbers.

An entity was checked when it was written.  To make the model of each row of a long list, which
checks everything once more, takes longer than to read the row.  So entities are shown directly,
under the names that their models have; ``tests/web/test_plain_values.py`` compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from operator import attrgetter
from typing import Any

import attrs
from pydantic import BaseModel

from tunnelcloud.store.column_types import plain
from tunnelcloud.web.models.fields import Shown


def values_as(
    model: type[Shown], entity: type[Any] | None = None, but: Collection[str] = ()
) -> Callable[[Any], dict[str, Any]]:
    """Make a function that returns an entity's values as its model would show them.

    :param entity: the entity's class, where it has only some of the model's fields.
    :param but: fields that are shown otherwise; for those of a class that is given.
    """
    had = None if entity is None else {one.name for one in attrs.fields(entity)} - {*but}
    names = tuple(name for name in model.model_fields if had is None or name in had)
    read = attrgetter(*names)

    def values(entity: Any) -> dict[str, Any]:
        return dict(zip(names, map(plain, read(entity)), strict=True))

    return values


def plain_values(shown: BaseModel | Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the plain values of something shown; a mapping has them already."""
    return shown.model_dump(mode="json") if isinstance(shown, BaseModel) else shown

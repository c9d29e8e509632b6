"""What is wrong with a value of a settings file, in words of TOML.

Nothing of pydantic's own texts comes through: a kind of fault without a wording gets a general one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

_FIXED = {
    "bool_type": "use true or false, without quotes",
    "int_type": "use a whole number, without quotes",
    "string_type": "use a text in quotes",
    "path_type": 'use a path in quotes, such as "/var/lib/tunnelcloud"',
    "list_type": 'use a list in square brackets, such as ["…"] or ["…", "…"]',
}
_WITH_BOUND = {
    "greater_than_equal": "use {ge} or more",
    "less_than_equal": "use {le} or less",
    "literal_error": "use {expected}",
}
_TABLES = frozenset({"dict_type", "model_type"})
_OTHERWISE = "can't be used here"


def wording(fault: ErrorDetails, key: str) -> str:
    """Say what to write instead of a value that pydantic refused.

    :param key: the setting, with its tables.
    """
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])  # the text of a rule of ours
    if kind in _TABLES:
        return f"is a table: write [{key}], and its settings below"
    return _FIXED.get(kind) or _bound(kind, context)


def _bound(kind: str, context: Mapping[str, Any]) -> str:
    text = _WITH_BOUND.get(kind)
    return _OTHERWISE if text is None else text.format(**context)

"""Refused values in words: what to send instead of what pydantic can't take.

Nothing of pydantic's own texts comes through: a kind of fault without a wording gets a general one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

_Context = Mapping[str, Any]
_WHOLE = "must be a whole number"
_FLAG = "must be true or false"
_FIXED = {
    "missing": "is required",
    "extra_forbidden": "there is no such field",
    "string_type": "must be a text",
    "string_unicode": "has characters that are no text: type it anew",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "is too big a number",
    "int_from_float": _WHOLE,
    "bool_type": _FLAG,
    "bool_parsing": _FLAG,
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
_OTHERWISE = "can't be used here"


def wording(fault: ErrorDetails) -> str:
    """Say what to do about one fault that pydantic found."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])  # the text of a rule of ours
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed
    made = _MADE.get(kind)
    return _OTHERWISE if made is None else made(context)


def _characters(context: _Context) -> bool:
    # What pydantic calls a list or a dictionary holds several; everything else is a text.
    return context.get("field_type") not in ("List", "Dictionary")


def _too_short(context: _Context) -> str:
    least = context["min_length"]
    if least == 1:
        return "is required" if _characters(context) else "give at least one"
    return f"use {least} characters or more" if _characters(context) else f"give {least} or more"


def _too_long(context: _Context) -> str:
    most = context["max_length"]
    return f"use {most} characters at most" if _characters(context) else f"give {most} at most"


def _choice(context: _Context) -> str:
    return f"use {context['expected'].replace(chr(39), '')}"


_MADE: Mapping[str, Callable[[_Context], str]] = {
    "string_too_short": _too_short,
    "string_too_long": _too_long,
    "too_short": _too_short,
    "too_long": _too_long,
    "greater_than_equal": lambda context: f"use {context['ge']} or more",
    "less_than_equal": lambda context: f"use {context['le']} or less",
    "enum": _choice,
    "literal_error": _choice,
}

"""Answers as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen
from pydantic_core import PydanticSerializationError, to_json

from tunnelcloud.interpreter_lock import politely


def encode_json(shown: Any) -> bytes:
    """Write an answer; half a character that somebody sent is written as an escape."""
    try:
        return to_json(shown, inf_nan_mode="constants") + b"\n"
    except PydanticSerializationError:
        # It writes long answers three times as fast, and knows no half characters.
        return _text(shown).encode("utf-8", "backslashreplace") + b"\n"


@frozen
class Members:
    """An object of many members; each member is made when it is written."""

    pairs: Iterator[tuple[str, Any]]


def encode_long_json(shown: Mapping[str, Any]) -> bytes:
    """Write a long answer piece by piece: between two pieces, other threads get their turn.

    :param shown: a value may be ``Members``, or an iterator that makes a list's elements.
    """
    members = (f"{_text(name)}: {''.join(_pieces(value))}" for name, value in shown.items())
    return ("{" + ", ".join(members) + "}\n").encode("utf-8", "backslashreplace")


def _pieces(value: Any) -> Iterator[str]:
    separator = ""
    if isinstance(value, Mapping | Members):
        yield "{"
        for name, one in politely(value.pairs if isinstance(value, Members) else value.items()):
            yield f"{separator}{_text(name)}: {_text(one)}"
            separator = ", "
        yield "}"
    elif isinstance(value, list | Iterator):
        yield "["
        for one in politely(value):
            yield separator + _text(one)
            separator = ", "
        yield "]"
    else:
        yield _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

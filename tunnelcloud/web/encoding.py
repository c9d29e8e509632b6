"""Answers as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def encode_json(shown: Any) -> bytes:
    """Write an answer; half a character that somebody sent is written as an escape."""
    return _text(shown).encode("utf-8", "backslashreplace") + b"\n"


def encode_long_json(shown: Mapping[str, Any]) -> bytes:
    """Write a long answer piece by piece: between two pieces, other threads get their turn."""
    members = (f"{_text(name)}: {''.join(_pieces(value))}" for name, value in shown.items())
    return ("{" + ", ".join(members) + "}\n").encode("utf-8", "backslashreplace")


def _pieces(value: Any) -> Iterator[str]:
    separator = ""
    if isinstance(value, Mapping):
        yield "{"
        for name, one in value.items():
            yield f"{separator}{_text(name)}: {_text(one)}"
            separator = ", "
        yield "}"
    elif isinstance(value, list):
        yield "["
        for one in value:
            yield separator + _text(one)
            separator = ", "
        yield "]"
    else:
        yield _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

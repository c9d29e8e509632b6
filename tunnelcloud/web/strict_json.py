"""JSON as it comes from strangers: UTF-8, no key twice, no depth without end (RFC 8259).

Parsers differ over what is ambiguous, so nothing ambiguous gets in.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any, NoReturn

MAX_DEPTH = 32

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_OPENING_OR_CLOSING = re.compile(rb"[\[\]{}]")


class BadJSON(ValueError):
    """Bytes that are not the JSON they should be; the message says in which way."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        keys = sorted(key for key, _ in pairs)
        twice = next(key for key, following in pairwise(keys) if key == following)
        raise BadJSON(f"the key {twice!r} is there twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise BadJSON(f"{name} is not JSON")


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for match in _OPENING_OR_CLOSING.finditer(_STRING.sub(b'""', raw)):
        depth += 1 if match[0] in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def check_json(raw: bytes) -> None:
    """Refuse what isn't strict JSON; what passes may be handed to any parser.

    :raise BadJSON: with the reason.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJSON(f"the body is not UTF-8 (byte {error.start})") from None
    if _depth(raw) > MAX_DEPTH:
        raise BadJSON(f"the body is nested deeper than {MAX_DEPTH} levels")
    try:
        json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadJSON(f"the body is not JSON: {error.msg} (line {error.lineno})") from None
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, BadJSON) else "a number is too long"
        raise BadJSON(reason) from None

"""JSON as it comes from strangers: UTF-8, no key twice, no depth without end (RFC 8259).

Parsers differ over what is ambiguous, so nothing ambiguous gets in.  The standard library parses;
what is checked here looks at each value once.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

MAX_DEPTH = 32
MAX_MEMBERS = 200
"""Of one object: no model has as many fields, and each unknown one is a fault to write down."""


class BadJSON(ValueError):
    """Bytes that are not the JSON they should be; the message says in which way."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadJSON(f"the key {key[:100]!r} is there twice")
            seen.add(key)
    return members


def _no_constant(name: str) -> NoReturn:
    raise BadJSON(f"{name} is not JSON")


_TOO_DEEP = f"the body is nested deeper than {MAX_DEPTH} levels"
_TOO_WIDE = f"an object in the body has more than {MAX_MEMBERS} members"


def _check_shape(value: Any, maps_at: int | None) -> None:
    level: list[Any] = [value]
    for depth in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                if len(one) > MAX_MEMBERS and depth != maps_at:
                    raise BadJSON(_TOO_WIDE)
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
        if not below and not any(isinstance(one, dict | list) for one in level):
            return
        level = below
    raise BadJSON(_TOO_DEEP)


def read_json(raw: bytes, maps_at: int | None = None) -> Any:
    """Read strict JSON; these bytes may then be handed to any parser.

    :param maps_at: the depth of objects that may have any number of members, for they map names
        to objects; the outermost object is at depth 0.
    :raise BadJSON: with the reason.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJSON(f"the body is not UTF-8 (byte {error.start})") from None
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadJSON(f"the body is not JSON: {error.msg} (line {error.lineno})") from None
    except RecursionError:
        raise BadJSON(_TOO_DEEP) from None
    except ValueError as error:
        reason = str(error) if isinstance(error, BadJSON) else "a number is too long"
        raise BadJSON(reason) from None
    _check_shape(value, maps_at)
    return value

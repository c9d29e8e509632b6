"""Lengths of time as people write and read them: a number and its unit, such as 8h.

Pure; every program and page reads and shows them by this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SECONDS: Mapping[str, int] = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
"""The units, the largest first."""

HOW = "use a number and a unit, such as 30s, 10m, 8h or 7d"
_LENGTH = re.compile(r"([0-9]{1,9})\s*([smhd])")


class BadLength(ValueError):
    """A text that isn't a length of time; the message says what to write instead."""


def read_length(text: str) -> int:
    """Read ``30s``, ``10m``, ``8h`` or ``7d`` into seconds.

    A number alone is refused: one person means seconds by it, another minutes.

    :raise BadLength: with what to write instead.
    """
    match = _LENGTH.fullmatch(text.strip())
    if match is None:
        raise BadLength(HOW)
    return int(match[1]) * SECONDS[match[2]]


def length_text(seconds: int) -> str:
    """Write a length of time in the largest unit that divides it, as it is typed."""
    unit = next(unit for unit, size in SECONDS.items() if seconds % size == 0) if seconds else "s"
    return f"{seconds // SECONDS[unit]}{unit}"

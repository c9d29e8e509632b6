"""Numbers of things in words."""

from __future__ import annotations

_PLURALS = {"policy": "policies", "person": "people"}


def counted(count: int, noun: str) -> str:
    """Give a number of things: ``1 person``, ``3 people``.

    :param noun: of one thing.
    """
    plural = _PLURALS.get(noun, f"{noun}s")
    return f"{count:,} {noun if count == 1 else plural}"

"""Numbers of things, and of bytes, as text."""

from __future__ import annotations

_PLURALS = {"policy": "policies", "person": "people"}


def counted(count: int, noun: str) -> str:
    """Give a number of things: ``1 person``, ``3 people``.

    :param noun: of one thing.
    """
    plural = _PLURALS.get(noun, f"{noun}s")
    return f"{count:,} {noun if count == 1 else plural}"


def bytes_text(count: int) -> str:
    """Write a number of bytes in binary units: ``5 B``, ``1.5 KiB``."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"

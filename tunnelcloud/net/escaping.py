"""What strangers send, made fit for a terminal and a log line."""

from collections.abc import Mapping
from typing import Any

_SHOWN = 256


def escape(text: "bytes | str", limit: int = _SHOWN) -> str:
    r"""Give ``text`` with nothing in it that moves a cursor, ends a line or turns it around.

    Printable characters of any language stay; control and format characters (the bidirectional
    ones among them) and bytes that aren't UTF-8 become ``\x..`` or ``\u....``.

    :param limit: the most characters taken from ``text``; a longer one ends in ``…``.
    """
    if isinstance(text, bytes):
        text = text[: 4 * limit + 1].decode("utf-8", "backslashreplace")
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
            for char in shown
        )
    return shown + "…" if len(text) > limit else shown


def escape_all(value: Any) -> Any:
    """Give texts, and lists and mappings of texts, with nothing in them that a terminal obeys.

    They aren't shortened; what is no text stays as it is.
    """
    if isinstance(value, str):
        return value if value.isprintable() else escape(value, len(value))
    if isinstance(value, Mapping):
        return {escape_all(name): escape_all(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [escape_all(one) for one in value]
    return value

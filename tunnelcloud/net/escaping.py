"""Makes text from strangers safe for a terminal and a log line."""

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

_SHOWN = 256


def escape(text: "bytes | str", limit: int = _SHOWN) -> str:
    r"""Return ``text`` with control characters escaped: none moves a cursor, ends a line or
    reverses it.

    Printable characters of any language stay; control and format characters (the bidirectional
    ones among them) and bytes that aren't UTF-8 become ``\x..`` or ``\u....``.

    :param limit: the most characters to return; a longer text is cut, and ends with ``…``.
    """
    if isinstance(text, bytes):
        text = text[: 4 * limit + 1].decode("utf-8", "backslashreplace")
    shown, left = text[:limit], len(text) > limit
    if not shown.isprintable():
        spelt = [_spelt(char) for char in shown]
        kept = bisect_right(list(accumulate(map(len, spelt))), limit)
        shown, left = "".join(spelt[:kept]), left or kept < len(spelt)
    return shown + "…" if left else shown


def escape_whole(text: str) -> str:
    """Give a text as ``escape`` does, however long it becomes."""
    return text if text.isprintable() else "".join(map(_spelt, text))


def _spelt(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


def escape_all(value: Any) -> Any:
    """Give texts, and lists and mappings of texts, with nothing in them that a terminal obeys.

    They aren't shortened; what is no text stays as it is.
    """
    if isinstance(value, str):
        return escape_whole(value)
    if isinstance(value, Mapping):
        return {escape_all(name): escape_all(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [escape_all(one) for one in value]
    return value

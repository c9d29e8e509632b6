"""Users' names that are made of something else: of an e-mail address, or a name with blanks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.domain.names import BadName, read_user_name

_LONGEST = 64
_NOT_TAKEN_APART = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "ae", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d",
     "œ": "oe", "Œ": "oe", "þ": "th", "Þ": "th", "ð": "d", "Ð": "d"}
)  # fmt: skip


def slug(text: str) -> str:
    """Make what can be a user's name of a text; empty if nothing of it can.

    Of an e-mail address the first part counts, of ``DOMAIN\\name`` the last.
    """
    text = text.rpartition("\\")[2]
    text = (text.partition("@")[0] or text).translate(_NOT_TAKEN_APART)
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    made = re.sub(r"[^a-z0-9._-]+", "-", folded(plain)).strip("._-")[:_LONGEST]
    return made.rstrip("._-")


def name_of(wanted: Iterable[str]) -> tuple[str, bool]:
    """Choose a user's name of several texts, the best first.

    :param wanted: any may be empty.
    :return: the name, empty if none of them gives one; and whether it was made, or isn't the best
        one, so that it may not be taken for the user who has it already.  A name that no user may
        have gets an ending.
    """
    for number, text in enumerate(wanted):
        try:
            return read_user_name(text), number > 0
        except BadName:
            made = slug(text)
        if made:
            return (numbered(made, 2) if _is_reserved(made) else made), True
    return "", True


def numbered(name: str, number: int) -> str:
    """Give a name another ending, for one that is taken."""
    ending = f"-{number}"
    return name[: _LONGEST - len(ending)] + ending


def _is_reserved(name: str) -> bool:
    """Tell whether no user may have this name."""
    try:
        read_user_name(name)
    except BadName:
        return True
    return False

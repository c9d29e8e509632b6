"""JSON that another program sent, or that lies where anybody could have changed it.

Python's parser has an error of its own for brackets that are nested thousands deep.  A caller that
catches the error for bad JSON would miss it, so this module raises the same error for both.  The
parser also takes half of a character (a lone surrogate, ``\\ud800``).  No encoding can write one,
so whoever keeps or sends such a text would fail later: it is an error here.
"""

from __future__ import annotations

import json
import re
from typing import Any

TOO_DEEP = "it is nested too deeply"

_MAYBE_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""An escaped half of a character.  Two halves that belong together are a whole one, so this only
says that a closer look is needed."""


def read_foreign_json(data: bytes | str) -> Any:
    """Read JSON.

    :raise ValueError: these bytes are no JSON, are nested deeper than can be read, or hold half of
        a character.
    """
    try:
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data))
        found = json.loads(text)
        if _MAYBE_HALF.search(text):
            refuse_halves(found)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    return found


def refuse_halves(found: Any) -> None:
    """Check a value that another parser read from JSON.

    :raise ValueError: it holds half of a character.
    """
    json.dumps(found, ensure_ascii=False).encode("utf-8")

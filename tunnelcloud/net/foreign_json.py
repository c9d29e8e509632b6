"""JSON that another program sent, or that lies where anybody could have changed it.

Python's parser has an error of its own for brackets that are nested thousands deep.  Who catches
what is no JSON would miss it, so it is the same error here.  And it takes halves of characters
(``\\ud800``), which no encoding has: whoever writes such a text somewhere fails later.
"""

from __future__ import annotations

import json
import re
from typing import Any

TOO_DEEP = "it is nested too deeply"

_MAYBE_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""Where half of a character may be escaped; two halves that belong together are a good one."""


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
    """Look at what was read elsewhere.

    :raise ValueError: it holds half of a character.
    """
    json.dumps(found, ensure_ascii=False).encode("utf-8")

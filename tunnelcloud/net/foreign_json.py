"""JSON that another program sent, or that lies where anybody could have changed it.

Python's parser has an error of its own for brackets that are nested thousands deep.  Who catches
what is no JSON would miss it, so it is the same error here.
"""

from __future__ import annotations

import json
from typing import Any

TOO_DEEP = "it is nested too deeply"


def read_foreign_json(data: bytes | str) -> Any:
    """Read JSON.

    :raise ValueError: these bytes are no JSON, or are nested deeper than can be read.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None

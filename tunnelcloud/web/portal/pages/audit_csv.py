"""The audit as CSV, for spreadsheets: the columns of the export that people read."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

COLUMNS = {
    "time": "@timestamp",
    "event": "event.action",
    "outcome": "event.outcome",
    "done by": "user.name",
    "user": "user.target.name",
    "tunnel": "tunnelcloud.tunnel.name",
    "address": "source.ip",
    "destination": "destination.address",
    "port": "destination.port",
    "reason": "event.reason",
    "object": "tunnelcloud.data.object_name",
}
"""Each column, and where a line has its value."""
_FORMULA = "=+-@"


async def as_csv(
    chunks: AsyncGenerator[bytes, None], run: Callable[[Callable[[], bytes]], Awaitable[bytes]]
) -> AsyncGenerator[bytes, None]:
    """Turn lines of JSON into rows of CSV, while they come.

    :param chunks: of lines; one may end within a line.
    :param run: does work away from the reactor's thread: the rows of 500 lines take 50 ms.
    """
    yield _row(COLUMNS)
    rest = b""
    async with aclosing(chunks):
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            yield await run(partial(_rows, lines))


def _rows(lines: list[bytes]) -> bytes:
    documents = (json.loads(line) for line in lines if line)
    return b"".join(
        _row([_value(document, place) for place in COLUMNS.values()]) for document in documents
    )


def _value(document: Mapping[str, Any], place: str) -> str:
    found: Any = document
    for name in place.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    text = "" if found is None else str(found)
    return f"'{text}" if _is_formula(text) else text


def _is_formula(text: str) -> bool:
    """Tell whether a spreadsheet may run a text, such as somebody's login name.

    Some ignore blanks before it, and some treat full-width characters like the usual ones.
    """
    first = next((one for one in text if one.isprintable() and not one.isspace()), "")
    wide = unicodedata.normalize("NFKC", first)[:1]
    return (wide != "" and wide in _FORMULA) or text[:1] in ("\t", "\r", "\n")


def _row(values: Any) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerow(values)
    return written.getvalue().encode("utf-8")

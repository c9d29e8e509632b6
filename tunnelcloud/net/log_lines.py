"""Lines of the log as JSON, for programs that collect logs.

``twistd`` chooses where the log goes, and has a way of its own to write a line; what it chose is
told to write another kind of line, and nothing else changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from twisted.logger import FileLogObserver, ILogObserver, LogEvent, formatEvent
from twisted.python import log as legacy

_OLDER = {"isError", "time", "system", "message", "format", "printed", "why", "failure"}
"""Keys that Twisted's older interface puts into an event, besides the values of its line."""


def write_lines(observer: ILogObserver, is_json: Callable[[], bool]) -> None:
    """Have what writes a log to a file write JSON; syslog and all else stay as they are.

    :param observer: what ``twistd`` chose.
    :param is_json: asked for each event, since a running program's settings change.
    """
    if not isinstance(observer, FileLogObserver):
        return
    as_text = observer.formatEvent

    def write(event: LogEvent) -> str | None:
        return json_line(event) + "\n" if is_json() else as_text(event)

    observer.formatEvent = write


def json_line(event: LogEvent) -> str:
    """Give an event as one line of JSON: ``time``, ``level``, ``logger``, ``message``, ``values``.

    ``time`` is RFC 3339 in UTC; ``traceback`` is there if the program has failed.
    """
    level = event.get("log_level")
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(event.get("log_time", 0), UTC).isoformat(
            timespec="milliseconds"
        ),
        "level": "info" if level is None else level.name,
        "logger": event.get("log_namespace", "-"),
        "message": _message(event),
    }
    values = {
        name: _plain(value)
        for name, value in event.items()
        if not name.startswith("log_") and name not in _OLDER and value != line["message"]
    }
    if values:
        line["values"] = values
    failure = event.get("log_failure")
    if failure is not None:
        line["traceback"] = failure.getTraceback()
    return json.dumps(line, ensure_ascii=False)


def _message(event: Mapping[str, Any]) -> str:
    if event.get("log_format") is not None:
        return formatEvent(dict(event))
    # Twisted's older interface.
    return legacy.textFromEventDict({"message": (), "isError": 0, **event}) or ""


def _plain(value: object) -> object:
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # JSON has no such numbers
    if value is None or isinstance(value, bool | int | float | str):
        return value
    try:
        return str(value)
    except Exception as error:  # of a value's own method
        return f"({type(error).__name__})"

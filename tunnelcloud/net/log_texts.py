"""Escapes every value of a log line: the last defence against control characters of peers.

Code that logs a peer's text escapes it; this helps where somebody forgot, and for texts that
libraries log.
"""

from typing import Any

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from tunnelcloud.net.escaping import escape_all

_OWN = ("log_", "isError", "time", "system")
"""Keys that Twisted puts into an event, besides the values of its line."""

_LEGACY = ("log_text", "message")


@provider(ILogObserver)
def tame(event: LogEvent) -> None:
    """Escape the values of a log event; an observer that has to come before those that write."""
    for name, value in event.items():
        if name in _LEGACY:
            event[name] = _lines(value)
        elif name.startswith(_OWN):
            continue
        elif isinstance(value, str):
            event[name] = escape_all(value)
        elif isinstance(value, Exception) and not str(value).isprintable():
            event[name] = escape_all(str(value))


def tame_all() -> None:
    """Escape the values of all events of this process from now on."""
    globalLogPublisher.addObserver(tame)


def _lines(value: Any) -> Any:
    """Escape a text that Twisted's older interface may have made of several lines."""
    if isinstance(value, tuple):
        return tuple(_lines(one) for one in value)
    return "\n".join(map(escape_all, value.split("\n"))) if isinstance(value, str) else value

"""Every value that a log line shows, made fit for it: the last door of what peers say.

Whoever logs a peer's words escapes them; this holds where somebody forgot, and for the words that
libraries log.
"""

from typing import Any

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from tunnelcloud.net.escaping import escape_all

_OWN = ("log_", "isError", "time", "system")
"""What Twisted puts into an event beside the values of its line."""

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

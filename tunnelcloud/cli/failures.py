"""The one line that a failed command prints."""

from __future__ import annotations

import errno

from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.output import one_line
from tunnelcloud.domain.connecting.quoting import UnquotableWord


def line_for(error: Exception) -> str | None:
    """Return the line for an exception; None for a fault of the program itself."""
    if isinstance(error, Failed | UnquotableWord):
        return one_line(str(error))
    if isinstance(error, KeyError):
        return f"the API's answer has no {error}: the pod may be of another version"
    if isinstance(error, OSError) and error.errno != errno.EPIPE:
        return one_line(str(error))
    return None

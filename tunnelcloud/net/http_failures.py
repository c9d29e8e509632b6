"""Why Twisted's HTTP client got no answer, without the exceptions around the reason."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet import defer
from twisted.web.client import RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed

WRAPPERS = (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed)
"""What the client raises by when the connection ended: while it made the request, while it sent
the request, or while it waited for the answer."""


def reasons_of(error: BaseException) -> Iterator[BaseException]:
    """Give the exceptions in a wrapper, and the wrapper before them; or the exception itself."""
    yield error
    if isinstance(error, WRAPPERS):
        for reason in error.reasons:
            yield from reasons_of(reason.value)


def was_cancelled(error: BaseException) -> bool:
    """Tell whether the caller gave up, as a timeout does."""
    return any(isinstance(one, defer.CancelledError) for one in reasons_of(error))

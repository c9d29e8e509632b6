"""Pages for machines outside ``/api``: health, readiness, metrics, known hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

ReadyCheck = Callable[[], str | None]
"""Says why the pod isn't ready to serve, or None."""

Metrics = Callable[[], tuple[str, bytes]]
"""Gives what is measured: the content's type, and the text."""


class TextResource(Resource):
    """A page of plain text, made anew for each request.

    :param text: gives the status and the text.
    """

    isLeaf = True

    def __init__(self, text: Callable[[], tuple[int, bytes]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._text = text

    def render_GET(self, request: IRequest) -> bytes:
        """Answer with the text."""
        status, body = self._text()
        return _answer(request, status, "text/plain; charset=utf-8", body)


def _answer(request: IRequest, status: int, content_type: str, body: bytes) -> bytes:
    request.setResponseCode(status)
    request.setHeader("Content-Type", content_type)
    request.setHeader("Cache-Control", "no-store")
    request.setHeader("X-Content-Type-Options", "nosniff")
    return body


def health() -> TextResource:
    """Say that the process answers, whatever else is wrong."""
    return TextResource(lambda: (200, b"ok\n"))


def readiness(checks: Mapping[str, ReadyCheck], warnings: Sequence[ReadyCheck]) -> TextResource:
    """Say whether clients should be sent to the pod, and if not, why.

    Anybody may ask, so no text names an object of this service.

    :param warnings: each gives a fault that stops nobody from working, or None.
    """

    def text() -> tuple[int, bytes]:
        found = [(name, check()) for name, check in checks.items()]
        faults = [f"{name}: {reason}\n" for name, reason in found if reason is not None]
        if faults:
            return 503, "".join(faults).encode("utf-8")
        wrong = filter(None, (warning() for warning in warnings))
        return 200, b"ready\n" + b"".join(f"warning: {one}\n".encode() for one in wrong)

    return TextResource(text)


class MetricsResource(Resource):
    """The page of what is measured."""

    isLeaf = True

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._metrics = metrics

    def render_GET(self, request: IRequest) -> bytes:
        """Answer with what is measured now."""
        content_type, body = self._metrics()
        return _answer(request, 200, content_type, body)


def known_hosts(lines: Callable[[], Iterable[str]]) -> TextResource:
    """Give the lines for a ``known_hosts`` file."""
    return TextResource(lambda: (200, "".join(f"{line}\n" for line in lines()).encode("utf-8")))


class Challenges(Resource):
    """The pages by which an authority checks that a name leads here (ACME, HTTP-01).

    :param answer: gives the answer for a token, or None.
    """

    def __init__(self, answer: Callable[[str], str | None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._answer = answer

    def getChild(self, path: bytes, request: IRequest) -> Resource:
        """Give the page of a token."""
        found = self._answer(path.decode("ascii", "replace"))
        body = (404, b"no such challenge\n") if found is None else (200, found.encode("ascii"))
        return TextResource(lambda: body)

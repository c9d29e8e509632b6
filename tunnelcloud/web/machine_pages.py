"""Pages for machines outside ``/api``: health, readiness, metrics, known hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Request

from tunnelcloud.domain.addresses import canonical_address, is_loopback
from tunnelcloud.web.limited_request import is_for_this_machine

_OF_PROXIES = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")

_NOT_HERE = b"""\
Here the metrics are for programs of this machine alone, without a proxy.
For others, give them a listener of their own: listen in [metrics] of pod.toml.
"""

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


class MetricsBesidePages(Resource):
    """The metrics where strangers come, too: they name sites, and each look costs milliseconds.

    Only a program of this machine gets them, and no proxy, whose clients may be anybody.
    """

    isLeaf = True

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._metrics = MetricsResource(metrics)
        self._refusal = TextResource(lambda: (403, _NOT_HERE))

    def render(self, request: Request) -> bytes:
        """Answer as the one or the other page."""
        page = self._metrics if _is_of_this_machine(request) else self._refusal
        return cast(bytes, page.render(request))  # type: ignore[no-untyped-call]


def _is_of_this_machine(request: Request) -> bool:
    forwarded = any(map(request.requestHeaders.hasHeader, _OF_PROXIES))
    peer = canonical_address(getattr(request.client, "host", ""))
    return is_loopback(peer) and is_for_this_machine(request) and not forwarded


def known_hosts(lines: Callable[[], Iterable[str]]) -> TextResource:
    """Give the lines for a ``known_hosts`` file."""
    return TextResource(lambda: (200, "\n".join([*lines(), ""]).encode("utf-8")))


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

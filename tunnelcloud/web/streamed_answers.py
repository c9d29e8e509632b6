"""Answers that are made while they are sent, as fast as they are read and no faster."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import implementer

from tunnelcloud.web.http_limits import limit_reading
from tunnelcloud.web.problems import Problem

PIECE = 64 * 1024
"""How many bytes of a long answer are handed to a connection at once: whatever is unread waits in
memory, once for each connection."""

_log = Logger()


def send_whole(request: Request, body: bytes) -> None:
    """Send an answer that is there as a whole, a long one as fast as it is read."""
    request.setHeader("Content-Length", str(len(body)))
    if is_long(body) and request.method != b"HEAD":
        limit_reading(request)
        Streaming(request, _pieces(body)).start()
    else:
        # A HEAD is answered as a GET; Twisted leaves the body out.
        request.write(body)
        request.finish()


def is_long(body: bytes) -> bool:
    """Tell whether an answer stays in memory until its client has read it."""
    return len(body) > PIECE


async def _pieces(body: bytes) -> AsyncGenerator[bytes, None]:
    for at in range(0, len(body), PIECE):
        yield body[at : at + PIECE]


@implementer(IPushProducer)
class Streaming:
    """Sends chunks to a request; a fault on the way cuts the answer, so that it shows."""

    def __init__(self, request: Request, chunks: AsyncGenerator[bytes, None]) -> None:
        self._request: Request | None = request
        self._chunks = chunks
        self._stopped = False
        self._resumed: Deferred[None] | None = None

    def start(self) -> None:
        """Send, from now on."""
        assert self._request is not None, "it is started once"
        self._request.registerProducer(self, True)
        sending = Deferred.fromCoroutine(self._send(self._request))
        sending.addErrback(self._failed)
        sending.addCallback(self._let_go)

    def pauseProducing(self) -> None:
        """Make nothing more for now."""
        if self._resumed is None:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        """Go on."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)

    def stopProducing(self) -> None:
        """The client is gone."""
        self._stopped = True
        self.resumeProducing()

    async def _send(self, request: Request) -> None:
        async with aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                if self._resumed is not None:
                    await self._resumed
                if self._stopped:
                    return
                request.write(chunk)
        if not self._stopped:
            request.unregisterProducer()
            request.finish()

    def _failed(self, failure: Failure) -> None:
        if isinstance(failure.value, Problem):
            _log.info("an answer was cut: {why}", why=failure.value.detail)
        else:
            _log.failure("an answer was cut", failure)
        if not self._stopped and self._request is not None and self._request.channel is not None:
            self._request.channel.forceAbortClient()

    def _let_go(self, _: None) -> None:
        """Keep nothing of the request.

        The two refer to each other, and would stay with all that wasn't read until Python's
        collector of cycles comes by: it counts the objects that wait for it, and not their bytes.
        """
        self._request = None

"""One browser's stream of server-sent events: as fast as it reads, and as long as it may.

A browser that doesn't read holds the newest of each address only, and is dropped in a while.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice
from typing import TypeVar

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import implementer

from tunnelcloud.web.portal.page_requests import SignedIn

T = TypeVar("T")
RETRY = b"retry: 2000\n\n"
_KEEP_ALIVE = b": still here\n\n"
AT_ONCE = 64
"""Streams that are written to, or pages that are due, in one turn of the reactor."""

UNREAD_SECONDS = 20
"""How many seconds a browser may read nothing while something waits for it."""


@implementer(IPushProducer)
class Stream:
    """An answer that goes on.

    :ivar signed_in: whose it is.
    :ivar addresses: the pages whose parts it brings.
    :param gone: told once, when it is over.
    """

    def __init__(
        self,
        request: Request,
        signed_in: SignedIn,
        addresses: Collection[str],
        clock: IReactorTime,
        gone: Callable[[Stream], object],
    ) -> None:
        self.signed_in = signed_in
        self.addresses = tuple(addresses)
        self._request = request
        self._clock = clock
        self._gone = gone
        self._waiting: dict[str, bytes] = {}
        self._paused_at: float | None = None
        self._over = False

    def start(self) -> None:
        """Begin the answer."""
        self._request.setHeader("Content-Type", "text/event-stream; charset=utf-8")
        self._request.setHeader("Cache-Control", "no-store, no-transform")
        self._request.setHeader("X-Accel-Buffering", "no")  # nginx would keep it back
        self._request.notifyFinish().addErrback(self._lost)
        self._request.registerProducer(self, True)
        self._write(RETRY)

    def send(self, address: str, event: bytes) -> None:
        """Send the present parts of an address."""
        if self._paused_at is None:
            self._write(event)
        else:
            self._waiting[address] = event

    def keep_alive(self) -> None:
        """Say something, so that no proxy takes the connection for dead."""
        if self._paused_at is None:
            self._write(_KEEP_ALIVE)

    def drop_unread(self) -> None:
        """Hang up on a browser that reads nothing."""
        paused = self._paused_at
        if paused is not None and self._clock.seconds() - paused >= UNREAD_SECONDS:
            self._close()
            if self._request.channel is not None:
                self._request.channel.forceAbortClient()

    def end(self, why: str) -> None:
        """Say why it ends, and end it.

        :param why: a word that the page's script knows.
        """
        if self._over:
            return
        self._request.write(b"event: end\ndata: %s\n\n" % why.encode("ascii"))
        self._close()
        self._request.unregisterProducer()
        self._request.finish()

    def pauseProducing(self) -> None:
        """Hold the parts that come from now on."""
        if self._paused_at is None:
            self._paused_at = self._clock.seconds()

    def resumeProducing(self) -> None:
        """Go on with the newest parts."""
        self._paused_at = None
        waiting, self._waiting = self._waiting, {}
        for address, event in waiting.items():
            self.send(address, event)

    def stopProducing(self) -> None:
        """The browser is gone."""
        self._close()

    def _write(self, data: bytes) -> None:
        if not self._over:
            self._request.write(data)

    def _lost(self, _: Failure) -> None:
        self._close()

    def _close(self) -> None:
        if not self._over:
            self._over = True
            self._waiting.clear()
            self._gone(self)


def in_turns(clock: IReactorTime, all_of_them: Collection[T], work: Callable[[T], object]) -> None:
    """Do something for each stream, or each page, some in each turn of the reactor."""
    left = iter(all_of_them)

    def some() -> None:
        several = tuple(islice(left, AT_ONCE))
        for one in several:
            work(one)
        if len(several) == AT_ONCE:
            clock.callLater(0, some)

    some()

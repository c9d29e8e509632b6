"""HTTP as strangers may speak it to us: so many seconds, so many bytes, so many connections.

Twisted restarts its timer at every byte and keeps any body; here a request has 30 s from its first
byte to its last, and a body beyond 1 MiB is not kept.  And it takes connections until there are no
descriptors left, which SSH needs, too.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from tunnelcloud.ssh.crowds import Crowd
from tunnelcloud.web.proxies import Network, client_host

REQUEST_SECONDS = 30
MAX_BODY = 1024 * 1024
MAX_CONNECTIONS = 4096
_MAX_DISCARDED = 16 * MAX_BODY


class LimitedRequest(Request):
    """A request that says when its body was too big, and doesn't keep that one."""

    body_too_big = False
    _received = 0

    def getClientAddress(self) -> IAddress:
        """Give where the request comes from, by the word of trusted proxies."""
        address: IAddress = super().getClientAddress()  # type: ignore[no-untyped-call]
        proxies = cast(LimitedChannel, self.channel).site.proxies
        if not isinstance(address, IPv4Address | IPv6Address) or not proxies:
            return address
        told = self.requestHeaders.getRawHeaders("x-forwarded-for", [])
        host = client_host(address.host, told, proxies)
        kind = IPv6Address if ":" in host else IPv4Address
        return kind("TCP", host, address.port)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep what fits; hang up on a client that goes on sending far beyond."""
        before = self._received
        self._received += len(data)
        if self._received <= MAX_BODY:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
            return
        if not self.body_too_big:
            self.body_too_big = True
            assert self.content is not None, "the headers were read"
            self.content.seek(0)
            self.content.truncate()
        if before <= _MAX_DISCARDED < self._received:
            assert self.channel.transport is not None, "bytes came from it"
            self.channel.transport.loseConnection()


class LimitedChannel(http.HTTPChannel):
    """An HTTP connection whose timer runs over a whole request."""

    site: LimitedSite
    _begun = False

    def resetTimeout(self) -> None:
        """Start the timer at a request's first byte, and leave it alone at the others."""
        if not self._begun:
            self._begun = True
            super().resetTimeout()  # type: ignore[no-untyped-call]

    def requestDone(self, request: Request) -> None:
        """Wait for the next request, and be as patient with that one."""
        self._begun = False
        super().requestDone(request)  # type: ignore[no-untyped-call]

    def connectionMade(self) -> None:
        """Count it."""
        self.site.crowd.enter(self, self.getPeer())  # type: ignore[no-untyped-call]
        super().connectionMade()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count it no longer."""
        self.site.crowd.leave(self)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def turn_away(self) -> None:
        """Make room for another."""
        assert self.transport is not None, "it was counted once there was one"
        self.transport.abortConnection()  # type: ignore[attr-defined]  # it is a TCP or TLS one


class LimitedSite(Site):
    """Serves a resource tree over L{LimitedChannel}s.  The audit is its only log."""

    # Spoken as it is: the one that Twisted puts before it is there to offer HTTP/2.
    protocol = LimitedChannel  # type: ignore[assignment]

    def __init__(
        self, root: IResource, clock: IReactorTime, proxies: tuple[Network, ...] = ()
    ) -> None:
        self.proxies = proxies
        self.crowd: Crowd[LimitedChannel] = Crowd(MAX_CONNECTIONS, LimitedChannel.turn_away)
        super().__init__(  # type: ignore[no-untyped-call]
            root,
            requestFactory=LimitedRequest,
            timeout=REQUEST_SECONDS,
            reactor=clock,
            parsePOSTFormSubmission=False,
        )
        self.displayTracebacks = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Turn away whom there is no room for."""
        if not self.crowd.admits(addr):
            return None
        return super().buildProtocol(addr)  # type: ignore[no-untyped-call]

    def trust(self, proxies: tuple[Network, ...]) -> None:
        """Believe these proxies from now on."""
        self.proxies = proxies

    def log(self, request: http.Request) -> None:
        """Write nothing."""

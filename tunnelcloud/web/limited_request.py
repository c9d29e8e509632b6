"""A request as strangers may send it: its length, its body, its host, and who sent it.

Twisted keeps any body; here one beyond its limit is not kept.  Each chunk of a body costs time,
however short it is; here the number of short ones is limited.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from http import HTTPStatus
from io import BytesIO
from typing import Any, Protocol, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.iweb import IRequest
from twisted.web.server import Request

from tunnelcloud.domain.addresses import Network, is_loopback, is_within, party_of
from tunnelcloud.net.round_robin import CAUSER
from tunnelcloud.web.problems import CONTENT_TYPE, Problem
from tunnelcloud.web.proxies import ProxySightings, client_host
from tunnelcloud.web.request_concurrency import Parties
from tunnelcloud.web.request_faults import Fault, fault_of
from tunnelcloud.web.sizes import MAX_BODY, MAX_FORM

_MAX_DISCARDED = 16 * MAX_BODY
MOST_SMALL_CHUNKS = 1024
MOST_COOKIES = 256
"""How many cookies of a request are read: browsers keep fewer than 200 for a site."""

_SMALL_CHUNK = 64
"""A chunk costs about 4 µs, however short it is: one more is borne for so many bytes."""

_STAY_WITH_TLS = "max-age=31536000"
_TELLS_CLIENT = (b"x-forwarded-for", b"forwarded")


class HangUp(Exception):
    """Raised within Twisted's parser: nobody sends such bytes to be answered."""


Vouch = Callable[[IRequest], Coroutine[Deferred[Any], Any, bool]]


class Door(Protocol):
    """What a request asks of the site that it came to.

    :ivar proxies: which proxies are believed about clients' addresses.
    :ivar big_bodies: for each path that takes a body of up to ``MAX_BODY``, what tells whether
        whoever sends a request may send such a one.
    """

    proxies: tuple[Network, ...]
    sightings: ProxySightings
    big_bodies: Mapping[bytes, Vouch]
    parties: Parties


class Connection(Protocol):
    """What a request asks of the connection that it came by.

    :ivar persistent: whether it stays for the next request.
    """

    site: Door
    persistent: bool

    @property
    def asked_path(self) -> bytes:
        """The path of the request whose headers were just read."""

    def hold(self, held: bool) -> None:
        """Read no more of a body until it is known whether it may be big, or read on."""

    def limit_trailers(self) -> None:
        """Take few bytes behind the last chunk of this body."""

    def begins_a_request(self) -> None:
        """Count a request that has come as a whole."""

    def parsed_a_chunk(self) -> None:
        """Count a part of a body."""

    def comes_from(self, client: IAddress) -> None:
        """Count the connection as one of a client's, whom a proxy names."""


class LimitedRequest(Request):
    """A request that notes that its body is too big, and doesn't keep such a body."""

    body_too_big = False
    content: BytesIO
    _received = 0
    _chunks: int | None = None  # of a body that comes in chunks
    _limit = MAX_FORM
    _vouch: Vouch | None = None
    _is_asking = False  # whether the body may be big
    _asked: Deferred[None] | None = None
    _party = ""
    _parties: Parties | None = None

    @property
    def _connection(self) -> Connection:
        return cast(Connection, self.channel)

    def parseCookies(self) -> None:
        """Read the cookies.  Twisted reads any number, at two microseconds for a lone semicolon."""
        left = MOST_COOKIES
        for header in self.requestHeaders.getRawHeaders(b"cookie", []):
            pieces = header.split(b";", left)[:left]
            left -= len(pieces)
            for piece in pieces:
                name, equals, value = piece.lstrip().partition(b"=")
                if equals:
                    self.received_cookies[name] = value

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Take a request that has come as a whole.

        Twisted reads its query as well: a long one takes ten milliseconds, and pages and operations
        read it themselves, once they know that they want it.
        """
        if self._is_asking:
            self._is_asking = False  # it has come as a whole before that was known
            self._connection.hold(False)
        self.content.seek(0)
        self.method, self.uri, self.clientproto = command, path, version
        self.path = path.partition(b"?")[0]
        self.args = {}
        self.process()

    def gotLength(self, length: int | None) -> None:
        """Keep the body in memory: its limit is small, and a file would take a descriptor.

        A big body is read only where one is of use, and once its sender's credential is verified.
        """
        self.content = BytesIO()
        self._chunks = 0 if length is None else None
        channel = self._connection
        if length is None:
            channel.limit_trailers()
        self._vouch = channel.site.big_bodies.get(channel.asked_path)
        if channel.site.proxies and any(map(self.requestHeaders.hasHeader, _TELLS_CLIENT)):
            # If it can't be read, the request is refused once it has come as a whole.
            with suppress(UnicodeDecodeError):
                channel.comes_from(self.getClientAddress())

    def _begin_to_ask(self, vouch: Vouch) -> None:
        """Read no more of the body until it is known who sends it."""
        self._connection.hold(True)
        self._is_asking = True
        self._asked = Deferred.fromCoroutine(self._ask(vouch))
        self._asked.addErrback(lambda failure: failure.trap(CancelledError) and None)

    async def _ask(self, vouch: Vouch) -> None:
        CAUSER.set(party_of(getattr(self.getClientAddress(), "host", "")))
        may_be_big = await vouch(self)
        if not self._is_asking:
            return
        self._is_asking = False
        if may_be_big:
            self._limit = MAX_BODY
        elif self._received > self._limit:
            self._discard()
        self._connection.hold(False)

    def process(self) -> None:
        """Answer, unless something is wrong with the request's head."""
        self._connection.begins_a_request()
        if self.isSecure() and not is_for_this_machine(self):
            self.setHeader(b"Strict-Transport-Security", _STAY_WITH_TLS.encode("ascii"))
        fault = fault_of(self)
        if fault is None:
            self._note_proxy()
            self._party = party_of(getattr(self.getClientAddress(), "host", ""))
            self._parties = self._connection.site.parties
            self._parties.begin(self, self._party)
        else:
            self._refuse(fault)

    def _refuse(self, fault: Fault) -> None:
        problem = Problem(HTTPStatus.BAD_REQUEST, fault.text)
        body = problem.encode()
        self.setResponseCode(problem.status)
        self.setHeader(b"Content-Type", CONTENT_TYPE.encode("ascii"))
        self.setHeader(b"Content-Length", b"%d" % len(body))
        if fault.is_about_length:
            self.setHeader(b"Connection", b"close")
            self._connection.persistent = False
        if self.method != b"HEAD":
            self.write(body)
        self.finish()

    def go_on(self) -> None:
        """Answer: few enough requests of the same party are in work."""
        super().process()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Send an answer that goes on for as long as it is read: others of the party don't wait."""
        self.leave_party()
        super().registerProducer(producer, streaming)

    def finish(self) -> None:
        """End the answer."""
        self.leave_party()
        super().finish()

    def connectionLost(self, reason: Failure) -> None:
        """Forget the request: nobody waits for its answer."""
        self._is_asking = False
        if self._asked is not None:
            self._asked.cancel()
        self.leave_party()
        super().connectionLost(reason)

    def leave_party(self) -> None:
        """Have others of the same party wait for this request no more."""
        if self._parties is not None:
            self._parties.over(self, self._party)

    def getClientAddress(self) -> IAddress:
        """Return the client's address, as trusted proxies tell it."""
        address: IAddress = super().getClientAddress()
        site = self._connection.site
        told = [
            [value.decode("utf-8") for value in self.requestHeaders.getRawHeaders(name, [])]
            for name in _TELLS_CLIENT
        ]
        if not isinstance(address, IPv4Address | IPv6Address):
            return address
        host = client_host(address.host, told[0], site.proxies, told[1])
        kind = IPv6Address if ":" in host else IPv4Address
        return kind("TCP", host, address.port)

    def _note_proxy(self) -> None:
        site, peer = self._connection.site, super().getClientAddress()
        told = any(map(self.requestHeaders.hasHeader, _TELLS_CLIENT))
        host = peer.host if isinstance(peer, IPv4Address | IPv6Address) else None
        if told and host is not None and not is_within(host, site.proxies):
            site.sightings.note(host)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep what fits; hang up on a client that goes on sending far beyond.

        :raise HangUp: it sends next to nothing in each.
        """
        if self._chunks is not None:
            self._chunks += 1
            self._connection.parsed_a_chunk()
            if self._chunks > MOST_SMALL_CHUNKS + self._received // _SMALL_CHUNK:
                raise HangUp
        before = self._received
        self._received += len(data)
        if self._received > self._limit and self._vouch is not None:
            vouch, self._vouch = self._vouch, None
            self._begin_to_ask(vouch)
        if self._received <= self._limit or self._is_asking:
            super().handleContentChunk(data)
            return
        self._discard()
        if before <= _MAX_DISCARDED < self._received:
            assert self.channel.transport is not None, "bytes came from it"
            self.channel.transport.loseConnection()

    def _discard(self) -> None:
        """Keep nothing of a body that is too big."""
        self.body_too_big = True
        self.content.seek(0)
        self.content.truncate()


def is_for_this_machine(request: http.Request) -> bool:
    """Tell whether a client asks for a loopback name: those have other servers, without TLS."""
    name: bytes = request.getRequestHostname()
    return is_loopback(name.decode("ascii", "replace"))

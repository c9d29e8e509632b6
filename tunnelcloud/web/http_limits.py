"""HTTP as strangers may speak it to us: so many seconds, so many bytes, so many connections.

Twisted restarts its timer at every byte; here a request has 30 s from its first byte to its last.
Twisted answers pipelined requests in one go, whether anybody reads the answers or not; here a
connection has one request in work or unsent, and others get their turn before the next.  Twisted's
parser costs more than linear time for lines, pieces and trailers that are next to nothing; here
their number is limited.  And Twisted takes connections until there are no descriptors left, which
SSH needs, too.  ``limited_request`` has what one request may bring.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from tunnelcloud.domain.addresses import Network, party_of
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.net.connection_capacity import Crowd
from tunnelcloud.net.handshake_limits import bounded
from tunnelcloud.net.message_scheduling import Rounds, turn_of_strangers
from tunnelcloud.net.sockets import read_in_small_parts
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.web.answering import REQUEST_SECONDS
from tunnelcloud.web.limited_request import HangUp, LimitedRequest, Vouch
from tunnelcloud.web.proxies import ProxySightings
from tunnelcloud.web.read_prices import (
    NOT_READING,
    PARSED_AT_A_PRICE,
    PRICE_OF_A_READ,
    PRICE_OF_A_REQUEST,
    Reading,
)
from tunnelcloud.web.request_concurrency import Parties

MAX_CONNECTIONS = 4096
MOST_SMALL_PIECES = 256
_SMALL_PIECE = 64
"""One read of TLS may have 2,800 records of a byte each.  While a request's head is read, each of
them costs as much as there is of its last line, up to 20 µs: one more is borne for so many
bytes."""

MOST_LINES = 600
"""How many lines a head may have; Twisted takes 500 headers.  It copies all that it has read for
each line, so thousands of lines that continue one header would cost a tenth of a second."""

LONGEST_TRAILERS = 1024
"""How many bytes may come behind the last chunk of a body.  Twisted searches all of them anew for
each piece that comes."""

CLOSING_SECONDS = 120
"""How long a client may take to read the rest of its last answer, and to agree, with TLS, that the
connection is over."""

READING_SECONDS = REQUEST_SECONDS + CLOSING_SECONDS
"""How long a client may take to read a long answer."""


def count_as_users(request: object, role: Role) -> None:
    """Count a request no longer as one of its network's, since a user has shown a credential.

    The connection of an administrator stays in a crowd.
    """
    if isinstance(request, LimitedRequest):
        request.leave_party()
    channel = getattr(request, "channel", None)
    if role is Role.ADMIN and isinstance(channel, LimitedChannel):
        channel.keep_place()


def limit_reading(request: object) -> None:
    """Give a client so long to read an answer that is sent as fast as it is read."""
    channel = getattr(request, "channel", None)
    if isinstance(channel, LimitedChannel):
        channel.setTimeout(READING_SECONDS)


class LimitedChannel(http.HTTPChannel):
    """An HTTP connection with one request at a time, whose timer runs over a whole request."""

    site: LimitedSite
    _begun = False
    _receiving = False
    _pieces = 0  # in which this request's head has come so far
    _head_size = 0
    _lines = 0
    _parsed = 0  # lines and chunks of this read
    _is_held = False  # until it is known whether the body may be big
    _is_closing = False
    _is_lost = False
    _answered: Request | None = None  # the next one is not looked at yet
    _rounds: Rounds
    _next_request: Rounds
    _late: bytearray  # waits for this connection's turn

    @property
    def asked_path(self) -> bytes:
        """Give the path of the request whose headers were just read."""
        path: bytes = self._path
        return path.partition(b"?")[0]

    def dataReceived(self, data: bytes) -> None:
        """Read on when it is this connection's turn, and nothing after the end."""
        if self._is_closing:
            return  # TLS goes on reading until the client agrees
        if self._rounds.waiting or self._rounds.room() <= 0:
            self._late += data
            if self._rounds.waiting:
                self.pause_reading()
            else:
                self._rounds.wait(Reading(self))
        else:
            self._receive(data)

    def setLineMode(self, extra: bytes = b"") -> None:
        """Read on with what came while a request was in work: it comes before all that waits."""
        self.line_mode = 1
        if extra and not self._is_closing:
            self._receive(extra)

    def _take_turn(self) -> None:
        late, self._late = self._late, bytearray()
        if self._is_closing:
            return
        try:
            self._receive(bytes(late))
        except Exception:
            self.turn_away()  # as the reactor does where a read raises
            raise

    def pause_reading(self) -> None:
        """Read no more of the client."""
        self._networkProducer.pauseProducing()

    def hold(self, held: bool) -> None:
        """Read no more of a body until it is known whether it may be big, or read on."""
        self._is_held = held
        if held:
            self.pause_reading()
        else:
            self.read_on()

    def read_on(self) -> None:
        """Read more of the client, unless its requests or its answers are in the way.

        With TLS, the end needs to be read.
        """
        if self._is_closing or (self._has_room and not self._waitingForTransport):
            self._networkProducer.resumeProducing()

    @property
    def _has_room(self) -> bool:
        is_short = sum(map(len, self._dataBuffer)) <= self._optimisticEagerReadSize
        return is_short and not self._is_held

    def _receive(self, data: bytes) -> None:
        """Read on, but no head in pieces of next to nothing."""
        self._rounds.take(PRICE_OF_A_READ)
        if self.line_mode:
            self._pieces += 1
            self._head_size += len(data)
            if self._pieces > MOST_SMALL_PIECES + self._head_size // _SMALL_PIECE:
                self.turn_away()
                return
        self._receiving = True
        try:
            super().dataReceived(data)
        except HangUp:
            self.turn_away()
        finally:
            self._receiving = False
            self._rounds.take(self._parsed // PARSED_AT_A_PRICE)
            self._parsed = 0

    def lineReceived(self, line: bytes) -> None:
        """Take a line of a head.

        :raise HangUp: there are too many.
        """
        self._lines += 1
        self._parsed += 1
        if self._lines > MOST_LINES:
            raise HangUp
        super().lineReceived(line)

    def limit_trailers(self) -> None:
        """Take few bytes behind the last chunk of the body that comes in chunks."""
        cast(Any, self._transferDecoder)._maxTrailerHeadersSize = LONGEST_TRAILERS

    def begins_a_request(self) -> None:
        """Count a request that has come as a whole."""
        self._rounds.take(PRICE_OF_A_REQUEST)

    def parsed_a_chunk(self) -> None:
        """Count a part of a body, which costs as much as a line."""
        self._parsed += 1

    def headerReceived(self, line: bytes) -> bool:
        """Take a header.

        :raise HangUp: it has a length of more digits than Python reads.
        """
        try:
            taken: bool = super().headerReceived(line)
        except ValueError:
            raise HangUp from None
        return taken

    def rawDataReceived(self, data: bytes) -> None:
        """Keep what comes while a request is in work; Twisted counts all pieces anew at each."""
        if not self._handlingRequest:
            super().rawDataReceived(data)
            return
        if not self._dataBuffer:
            self._dataBuffer.append(bytearray())
        self._dataBuffer[0] += data
        if len(self._dataBuffer[0]) > self._optimisticEagerReadSize:
            self._networkProducer.pauseProducing()

    def resetTimeout(self) -> None:
        """Start the timer at a request's first byte, and leave it alone at the others."""
        if not self._begun:
            self._begun = True
            super().resetTimeout()

    def loseConnection(self) -> None:
        """Close once all is sent, or after a time."""
        super().loseConnection()
        if not self._is_closing:
            self._is_closing = True
            self.setTimeout(CLOSING_SECONDS)

    def timeoutConnection(self) -> None:
        """Have the connection's end wait for its turn: the time of many may be over at once."""
        self.site.endings.run(self._end_late)

    def _end_late(self) -> bool:
        """Close, or hang up on a client that still doesn't; nothing is logged of it: a step."""
        if self._is_lost:
            pass
        elif self._is_closing:
            self.turn_away()
        else:
            self.loseConnection()
            self.setTimeout(self.abortTimeout)
        return False

    def requestDone(self, request: Request) -> None:
        """Wait for the next request, and be as patient with that one.

        If it may be here already, it waits until the reactor has turned and this answer is sent.
        """
        self._begun = False
        self._pieces = self._head_size = self._lines = 0
        if not self.persistent or not (self._receiving or self._dataBuffer):
            super().requestDone(request)
            return
        self._answered = request
        if self._savedTimeOut:
            self.setTimeout(self._savedTimeOut)
            self._savedTimeOut = None
        self._go_on_soon()

    def pauseProducing(self) -> None:
        """Take nothing more from a client that doesn't read, even while a request is in work."""
        super().pauseProducing()
        self._networkProducer.pauseProducing()

    def resumeProducing(self) -> None:
        """The client has read what was sent."""
        super().resumeProducing()
        if self._has_room:
            self._networkProducer.resumeProducing()
        self._go_on_soon()

    def _go_on_soon(self) -> None:
        waits = self._next_request.waiting or self._waitingForTransport
        if self._answered is not None and not waits:
            self._next_request.wait(NOT_READING)

    def _go_on(self) -> None:
        if self._waitingForTransport:
            return
        request, self._answered = self._answered, None
        super().requestDone(request)

    def connectionMade(self) -> None:
        """Count it."""
        peer = self.getPeer()
        self.site.crowd.enter(self, peer)
        party = party_of(getattr(peer, "host", ""))
        turn = self.site.turn
        self._late = bytearray()
        self._rounds = Rounds(turn, lambda: party, self._take_turn, reads_little=True)
        self._next_request = Rounds(turn, lambda: party, self._go_on, reads_little=True)
        read_in_small_parts(self.transport)
        if self.isSecure():
            # Twisted makes those of an ``ssl:`` description.
            bounded(cast(Any, self.transport).getHandle())
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count it as gone."""
        self._is_lost = True
        self._rounds.stop()
        self._next_request.stop()
        self._late.clear()
        self.site.crowd.leave(self)
        self.site.reserved.discard(self)
        self._answered = None
        super().connectionLost(reason)

    def comes_from(self, client: IAddress) -> None:
        """Count it as one of this client's: a proxy's are those of many."""
        if self not in self.site.reserved:
            self.site.crowd.enter(self, client)

    def keep_place(self) -> None:
        """Reserve the connection's place for an administrator, as long as there are reserved
        places."""
        if self not in self.site.reserved and len(self.site.reserved) < self.site.reserve:
            self.site.crowd.leave(self)
            self.site.reserved.add(self)

    def turn_away(self) -> None:
        """Hang up: others need the room, or the time."""
        assert self.transport is not None, "it was counted once there was one"
        self.transport.abortConnection()  # type: ignore[attr-defined]  # it is a TCP or TLS one


class LimitedSite(Site):
    """Serves a resource tree over ``LimitedChannel``s.  The audit is its only log."""

    # Spoken as it is: the one that Twisted puts before it is there to offer HTTP/2.
    protocol = LimitedChannel  # type: ignore[assignment]
    noisy = False

    def __init__(
        self,
        root: IResource,
        clock: IReactorTime,
        proxies: tuple[Network, ...] = (),
        big_bodies: Mapping[bytes, Vouch] | None = None,
        room: int = MAX_CONNECTIONS,
        sightings: ProxySightings | None = None,
    ) -> None:
        """
        :param proxies: which proxies are believed about clients' addresses.
        :param big_bodies: for each path that takes a body of up to ``MAX_BODY``, what tells
            whether whoever sends a request may send such a one.
        :param room: how many connections there may be; an eighth is kept for administrators.
        :param sightings: notes proxies that aren't trusted.
        """
        self.proxies = proxies
        self.sightings = sightings or ProxySightings()
        self.big_bodies = big_bodies or {}
        self.reserve = room // 8
        self.reserved: set[LimitedChannel] = set()
        room -= self.reserve
        self.crowd: Crowd[LimitedChannel] = Crowd(room, LimitedChannel.turn_away)
        self.parties = Parties(clock)
        self.turn = turn_of_strangers(clock)
        self.endings = Spreading(clock)
        super().__init__(
            root,
            requestFactory=LimitedRequest,
            timeout=REQUEST_SECONDS,
            reactor=clock,
            parsePOSTFormSubmission=False,
        )
        self.displayTracebacks = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Refuse a connection for which there is no room."""
        if not self.crowd.admits(addr):
            return None
        return super().buildProtocol(addr)

    def acceptableProtocols(self) -> list[bytes]:
        """Offer HTTP/1.1 alone, whatever else Twisted could speak."""
        return [b"http/1.1"]

    def trust(self, proxies: tuple[Network, ...]) -> None:
        """Believe these proxies from now on."""
        self.proxies = proxies
        self.sightings.forget()

    def log(self, request: http.Request) -> None:
        """Write nothing."""

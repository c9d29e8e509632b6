"""One TLS connection between a pod and a connector, from handshake to loss; both ends of it.

What holds, in words:

- No message is handled before TLS is up, ALPN is right, the owner has accepted the certificate, and
  the peer has said hello.  Each of these has one deadline.
- Only pods open channels; a connector that opens one loses its link.
- A peer that shows no sign of life (``link.liveness``) is given up, and its channels end at once,
  with a reason.
- A peer that sends more requests, or messages without effect, than ``REQUESTS_PER_SECOND`` loses
  its link.  In one turn of the reactor a link handles only a bounded number of messages, so that
  other connections don't wait.
- An exception while a message is handled ends this link and no other, with one log line.

The module knows TLS from the handshake's outcome only; certificates are its owner's affair.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from cryptography import x509
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.channels.channel import Channel
from tunnelcloud.channels.interfaces import (
    IChannel,
    IChannelUser,
    IConnectionUser,
    IMessageTransport,
)
from tunnelcloud.channels.messages import SHARES, ProtocolError
from tunnelcloud.channels.multiplexer import Multiplexer, unpriced
from tunnelcloud.channels.windows import KIB, CreditAccount, Path
from tunnelcloud.link.framing import FrameBuffer, FrameReader
from tunnelcloud.link.interfaces import ILinkOwner
from tunnelcloud.link.liveness import LONGEST_SILENCE, Liveness
from tunnelcloud.link.requests import (
    DISMISS,
    DRAIN,
    HELLO,
    PING,
    Document,
    Handler,
    Hello,
    pack,
    read_hello,
    unpack,
)
from tunnelcloud.link.tls import LINK_ALPN, shown_certificate
from tunnelcloud.net.allowance import Allowance
from tunnelcloud.net.message_scheduling import SIZE_SHIFT, Rounds, SharedTurn
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.net.write_coalescing import TURN, Gathering

HANDSHAKE_TIMEOUT = 20.0
"""Seconds from the connection to the peer's hello."""

DISMISSAL_TIMEOUT = 5.0
"""Seconds that a peer has to read why it is dismissed."""

REQUESTS = 4096
"""How many requests, and other messages without effect, a connector may send at once."""

REQUESTS_PER_SECOND = 512.0
"""How many of them it may send a second for long."""

_SHARES = bytes(SHARES.get(number, 1) for number in range(256))

MAX_PACKET_SIZE = 128 * KIB
FLUSH_SIZE = 128 * KIB

MAX_CHANNELS = 10_000
"""A link's own limit; the pod's limits are lower, and their refusals say why."""


class End(Enum):
    """Which end of a link this is."""

    POD = "pod"
    CONNECTOR = "connector"


@implementer(IHandshakeListener, IPushProducer, IMessageTransport, IConnectionUser)
class LinkProtocol(Protocol):
    """One end of a link.

    :param handlers: answers to global requests by name, beside those a link answers itself.
    :param longest_silence: seconds without a byte after which, at the latest, the link is over.
    :param turn: bounds what all connections bring in one turn of the reactor.
    :param spreading: spreads the ends of channels over turns.

    :ivar liveness: tells whether the peer lives.
    :ivar multiplexer: its channels.
    :ivar peer: the peer's hello, once it came.
    :ivar peer_certificate: the peer's certificate, once TLS is up.
    :ivar peer_drains: the peer asked for no new channels.
    """

    transport: Any  # a LinkTransport; no interface says all that is used of it

    _log = Logger()

    def __init__(
        self,
        end: End,
        hello: Hello,
        owner: ILinkOwner,
        clock: IReactorTime,
        *,
        account: CreditAccount,
        handlers: Mapping[bytes, Handler],
        longest_silence: float = LONGEST_SILENCE,
        turn: SharedTurn | None = None,
        spreading: Spreading | None = None,
    ) -> None:
        self.end = end
        self.owner = owner
        self.peer: Hello | None = None
        self.peer_certificate: x509.Certificate | None = None
        self.peer_drains = False
        self.drains = False
        self.multiplexer = Multiplexer(
            self,
            self,
            account=account,
            max_channels=MAX_CHANNELS,
            max_packet_size=MAX_PACKET_SIZE,
            path=Path(clock.seconds),
            affords=Allowance(clock, REQUESTS, REQUESTS_PER_SECOND).take
            if end is End.POD
            else unpriced,
            spread=(spreading or Spreading(clock)).run,
        )
        self.liveness = Liveness(
            self.multiplexer,
            clock,
            longest_silence,
            self.disconnect,
            lambda debt: self.end_connection(0, debt),
            asks_at_rest=end is End.POD,
            at_rest=self._give_back,
        )
        self._hello = hello
        self._clock = clock
        self._handlers = handlers
        self._frames = FrameReader()
        self._unsent = FrameBuffer()
        self._gathering = Gathering(clock, self._flush)
        party = object()
        self._rounds = Rounds(turn or SharedTurn(clock), lambda: party, self._go_on)
        self._late = b""
        self._timer: IDelayedCall | None = None
        self._encrypted = False
        self._over = ""

    # What owners call.

    @property
    def ready(self) -> bool:
        """Whether channels may be opened."""
        return self.peer is not None and not (self.peer_drains or self.drains or self._over)

    @property
    def over(self) -> bool:
        """Whether the link has ended, or is about to."""
        return bool(self._over)

    @property
    def channel_count(self) -> int:
        """How many channels there are, pending ones included: the link's load."""
        return self.multiplexer.channel_count

    def open_channel(
        self, channel_type: bytes, data: bytes, user: IChannelUser, account: CreditAccount
    ) -> Channel:
        """Ask the connector for a channel; only a pod may."""
        assert self.end is End.POD
        return self.multiplexer.open_channel(channel_type, data, user, account)

    def request(self, name: bytes, document: Document) -> None:
        """Send a global request that wants no reply."""
        self.multiplexer.send_global_request(name, pack(document))

    def drain(self) -> None:
        """Have no new channels, and end the link when the last is over."""
        if not self.drains and not self._over:
            self.drains = True
            self.request(DRAIN, {})
            self.multiplexer.on_idle = self._idle
            if not self.multiplexer.channel_count:
                self._idle()

    def disconnect(self, reason: str) -> None:
        """End the link and its channels at once; ``reason`` goes to logs and to the audit."""
        if not self._over:
            self._over = reason
            self.liveness.stop()
            self.multiplexer.connection_lost(reason)
            self.transport.abortConnection()

    def dismiss(self, reason: str) -> None:
        """End the link and its channels at once, and tell the peer why before it goes."""
        if self._over:
            return
        self.request(DISMISS, {"reason": reason})
        self._flush()
        self._over = reason
        self.liveness.stop()
        self.multiplexer.connection_lost(reason)
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        # Don't wait for a peer that reads nothing.
        self._timer = self._clock.callLater(DISMISSAL_TIMEOUT, self.transport.abortConnection)

    # What the TLS transport calls.

    def connectionMade(self) -> None:
        """Wait for TLS, but not for ever."""
        self._timer = self._clock.callLater(HANDSHAKE_TIMEOUT, self.disconnect, "no hello in time")

    def handshakeCompleted(self) -> None:
        """Say hello to a peer with the right protocol and certificate; drop any other."""
        protocol = self.transport.negotiatedProtocol
        if protocol != LINK_ALPN:
            self.disconnect(f"the peer speaks {protocol!r}, not {LINK_ALPN!r}")
            return
        self.peer_certificate = shown_certificate(self.transport.getHandle())
        refusal = self.owner.link_refusal(self, self.peer_certificate)
        if refusal is not None:
            self.disconnect(refusal)
            return
        self._encrypted = True
        self.transport.registerProducer(self, True)
        self.request(HELLO, self._hello.document())

    def dataReceived(self, data: "bytes | memoryview") -> None:
        """Handle all messages that one read completed."""
        self.liveness.heard_at = self._clock.seconds()
        if self._rounds.waiting:  # reads that had begun before this side stopped reading
            self._late += data
        elif not self._over:
            self._handle(data)
            if not self._rounds.waiting:
                self._rounds.fitted(self.transport, len(data))

    def _go_on(self) -> None:
        late, self._late = self._late, b""
        self._handle(late)

    def _handle(self, data: "bytes | memoryview") -> None:
        room = self._rounds.room()
        if room <= 0:
            self._late = bytes(data)
            self._rounds.wait(self.transport)
            return
        try:
            with TURN:
                self._rounds.take(self._take_some(data, room))
            if self._frames.rest and not self._over:
                self._late = self._frames.rest
                self._rounds.wait(self.transport)
        except ProtocolError as error:
            self.end_connection(0, str(error))
        except Exception:
            self._log.failure("Link with {peer} failed", peer=self.peer_name)
            self.disconnect("internal error")

    def _take_some(self, data: "bytes | memoryview", room: int) -> int:
        """Take messages while there is room; return how many they count as."""
        receive = self.multiplexer.message_received
        frames = self._frames
        taken = 0
        for message in frames.feed(data):
            taken += _SHARES[message[0]] + (len(message) >> SIZE_SHIFT)
            receive(message)
            if self.multiplexer.lost:
                break
            frames.enough = taken >= room
        return taken

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End all channels."""
        self._over = self._over or reason.getErrorMessage()
        self.liveness.stop()
        self._gathering.stop()
        self._rounds.stop()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self.multiplexer.connection_lost(self._over)
        self.owner.link_lost(self, self._over)

    def pauseProducing(self) -> None:
        """Let channels queue: too much is unsent."""
        self.multiplexer.pause_sending()

    def resumeProducing(self) -> None:
        """Let channels send: the socket has taken all."""
        if self._unsent.size:
            self._flush()
        if not self._over:
            self.multiplexer.resume_sending()

    def stopProducing(self) -> None:
        """Nothing is to be done: the loss of the connection is told elsewhere."""

    @property
    def peer_name(self) -> str:
        """What the peer calls itself, for logs."""
        return self.peer.name if self.peer is not None else "an unknown peer"

    # IMessageTransport.

    def send_message(self, head: bytes, data: "bytes | memoryview" = b"") -> None:
        """Send a message, with others of the same turn of the reactor where it may wait."""
        unsent = self._unsent
        max_packet_size = self.multiplexer.peer_max_packet_size
        if not unsent.append(head, data, max_packet_size):
            self._flush()
            unsent.append(head, data, max_packet_size)
        if not self._gathering.waits(unsent.size) or unsent.size >= FLUSH_SIZE:
            self._flush()

    def end_connection(self, reason_code: int, description: str) -> None:
        """End the link: the peer broke a rule."""
        self._log.warn(
            "Link with {peer} broke the protocol: {rule}", peer=self.peer_name, rule=description
        )
        self.disconnect(f"protocol error: {description}")

    # IConnectionUser.

    def channel_open_requested(self, channel: IChannel, channel_type: bytes, data: bytes) -> None:
        """Hand a pod's wish on; a connector may have none."""
        if self.end is End.POD:
            raise ProtocolError("a connector opened a channel")
        if self.peer is None:
            raise ProtocolError("a channel before hello")
        self.owner.channel_requested(self, channel, channel_type, data)

    def global_request_received(self, name: bytes, data: bytes) -> "bytes | None":
        """Answer from the table; nothing but hello comes first."""
        if name == HELLO:
            return self._hello_received(unpack(data))
        if self.peer is None:
            raise ProtocolError(f"{name!r} before hello")
        if name == PING:
            return b""
        if name == DRAIN:
            self.peer_drains = True
            return b""
        handler = self._handlers.get(name)
        reply = None if handler is None else handler(self, unpack(data))
        return None if reply is None else pack(reply)

    # Inner workings.

    def _hello_received(self, document: Document) -> bytes:
        if self.peer is not None:
            raise ProtocolError("a second hello")
        peer = read_hello(document)
        self.peer = peer
        if self._timer is not None:
            self._timer.cancel()
        self.liveness.begin()
        self.owner.link_ready(self)
        return b""

    def _give_back(self) -> None:
        self.transport.give_back()

    def _flush(self) -> None:
        if self._unsent.size and self._encrypted:
            self._unsent.write_to(self.transport.write)

    def _idle(self) -> None:
        if not self._over:
            self._over = "drained"
            self.liveness.stop()
            self._flush()
            self.multiplexer.connection_lost(self._over)
            self.transport.unregisterProducer()
            self.transport.loseConnection()

"""The bytes of one SSH connection: packets in, packets out, the gate between, and the end.

A subclass of Conch's server transport that keeps its key exchanges and replaces how it reads,
dispatches, writes and ends.  It doesn't know what the phases lead to; ``transport`` does.

Conch's faults closed here:

- ``sendDisconnect`` leaves the parser running: here nothing is dispatched after it.
- ``loseConnection`` hangs on a peer that doesn't read: here the connection is aborted after 5 s.
- Messages that wait for the end of a key exchange queue without bound: here the multiplexer is
  paused meanwhile, and bounds what it still sends.
- An exception leaves the connection open: here it ends the connection, with one log line.
- Every connection logs several lines: here a connection that did nothing logs none.
"""

import struct
from collections.abc import Callable
from typing import Any

from twisted.conch.ssh.common import NS
from twisted.conch.ssh.transport import (
    DISCONNECT_BY_APPLICATION,
    DISCONNECT_CONNECTION_LOST,
    DISCONNECT_PROTOCOL_ERROR,
    MSG_DISCONNECT,
    MSG_UNIMPLEMENTED,
    SSHServerTransport,
)
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IMessageTransport
from tunnelcloud.channels.messages import MSG_CHANNEL_DATA, MSG_GLOBAL_REQUEST, ProtocolError
from tunnelcloud.channels.multiplexer import Multiplexer
from tunnelcloud.net.escaping import escape
from tunnelcloud.net.message_scheduling import SIZE_SHIFT, Rounds
from tunnelcloud.net.shared_buffers import BufferPool
from tunnelcloud.net.sockets import write_now
from tunnelcloud.net.write_coalescing import TURN, Gathering
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.ssh.message_gate import (
    ANSWERED,
    FIRST_KEX_NUMBER,
    GATES,
    LAST_KEX_NUMBER,
    SHARES,
    TAKEN,
    Phase,
)
from tunnelcloud.ssh.packet_sealing import LARGEST_OVERHEAD, Buffer, PlainSealer, Sealer
from tunnelcloud.ssh.packets import PacketReader, WireError

_FIRST_KEX_RELATED = 20
_LAST_NOISE = 4
_OVER = Phase.OVER
_BY_APPLICATION = struct.pack(">L", DISCONNECT_BY_APPLICATION)
_OUT_SIZE = 136 * 1024

BREACH = 32
"""As how many messages of one turn of the reactor it counts that a client broke the protocol: it
is told so, logged and counted."""

MOST_AT_ONCE = 256
"""After so many messages with data a client's channels rest until the reactor's next turn: with
small packets the kernel takes thousands of them at once."""

_out_buffers = BufferPool(lambda: memoryview(bytearray(_OUT_SIZE)))


@implementer(IMessageTransport, IPushProducer)
class Wire(SSHServerTransport):
    """One connection's bytes.

    :ivar phase: what may arrive now.
    :ivar heard: set whenever a byte arrives; whoever asks for signs of life clears it.
    :ivar carried: set whenever channel data passes, either way.
    :ivar meant: set whenever a message of the connection protocol arrives, which has a meaning.
    :ivar session_id: of the session, once the user is logged in.
    :ivar user_id: of the session's user, likewise.
    :ivar end_reason: why the connection ended, once it has.
    :ivar said_goodbye: whether the client ended it in order.
    :ivar source: the client's IP address, once it is known.
    :ivar gathering: tells when to write.
    :ivar rounds: puts messages off that are too many for one turn of the reactor.
    :ivar multiplexer: takes the connection protocol's messages, once the user is logged in.
    """

    _log = Logger()
    transport: Any
    clock: IReactorTime
    limits: Limits
    source = ""
    source_port = 0
    session_id = ""
    user_id = ""
    end_reason = ""
    said_goodbye = False
    heard = False
    carried = False
    meant = False
    gathering: Gathering
    rounds: Rounds
    multiplexer: Multiplexer | None = None

    def __init__(self) -> None:
        self.reader = PacketReader()
        self.sealer: Sealer = PlainSealer(0)
        self.phase = Phase.IDENTIFICATION
        self._receive: Callable[[bytes], None] = self._drop
        self._corked = False
        self._late = b""
        self._out: memoryview | None = None
        self._filled = 0
        self._held: list[tuple[bytes, bytes]] | None = None
        self._full = False
        self._blocked = False
        self._sent = 0
        self._rest: IDelayedCall | None = None
        self._abort: IDelayedCall | None = None

    @property
    def name(self) -> str:
        """What log lines call this connection."""
        session = f" session {self.session_id}" if self.session_id else ""
        return f"ssh {self.source or 'unknown'} port {self.source_port}{session}"

    # Receiving.

    def dataReceived(self, data: bytes) -> None:
        """Handle the bytes of one read; all answers are written together at the end."""
        self.heard = True
        self._handle(self._receive, data)

    def go_on(self) -> None:
        """Take more of the packets that were too many for the reactor's last turn."""
        self._handle(self._take_packets)

    def _handle(self, call: Callable[..., object], *arguments: object) -> None:
        self._corked = True
        try:
            with TURN:
                self.guarded(call, *arguments)
        finally:
            self._uncork()
        self.data_handled()

    def data_handled(self) -> None:
        """Hear that one read has been worked off."""

    def guarded(self, call: Callable[..., object], *arguments: object) -> None:
        """Call a function; an exception ends this connection, and only this one."""
        try:
            call(*arguments)
        except WireError as error:
            self.broken(error.code, error.text)
        except ProtocolError as error:
            self.broken(DISCONNECT_PROTOCOL_ERROR, str(error))
        except Exception:
            self._log.failure("{name}: ended by a fault of this program", name=self.name)
            self.sendDisconnect(DISCONNECT_BY_APPLICATION, "internal error")

    def broken(self, code: int, text: str) -> None:
        """End the connection because the client broke the protocol."""
        if self.phase is not Phase.OVER:
            self.rounds.take(BREACH)
            self._log.info("{name}: {reason}", name=self.name, reason=text)
            self.sendDisconnect(code, text)

    def _receive_packets(self, data: bytes) -> None:
        if self.rounds.waiting:  # a read that had begun before this side stopped reading
            self._late += data
            return
        self.reader.feed(data)
        self._take_packets()
        if not self.rounds.waiting:
            self.rounds.fitted(self.transport, len(data))

    def _take_packets(self) -> None:
        room = self.rounds.room()
        left = self._take_some(room) if room > 0 else 0
        if self.phase is _OVER:
            return
        if left <= 0:
            self.rounds.wait(self.transport)
        elif self._late:
            late, self._late = self._late, b""
            self._receive(late)

    def _take_some(self, room: int) -> int:
        """Take packets while there is room, and count them; return how much is left of it."""
        reader = self.reader
        phase = self.phase
        gate = GATES[phase]
        left = room
        try:
            while left > 0 and (payload := reader.next()) is not None:
                number = payload[0]
                left -= SHARES[number] + (len(payload) >> SIZE_SHIFT)
                if self.phase is not phase:
                    phase = self.phase
                    gate = GATES[phase]
                verdict = gate[number]
                if verdict != TAKEN:
                    self._not_listed(number, payload, verdict == ANSWERED)
                elif number >= MSG_GLOBAL_REQUEST:
                    self.meant = True
                    if number == MSG_CHANNEL_DATA:
                        self.carried = True
                    assert self.multiplexer is not None
                    self.multiplexer.message_received(payload)
                else:
                    self.dispatchMessage(number, bytes(payload[1:]))  # type: ignore[no-untyped-call]
                if self.phase is _OVER:
                    break
        finally:  # also where the last one of them ends the connection
            self.rounds.take(room - left)
        return left

    def _not_listed(self, number: int, payload: memoryview, answered: bool) -> None:
        if answered:
            self.unknown_message(payload)
        elif self.ignoreNextPacket and FIRST_KEX_NUMBER <= number <= LAST_KEX_NUMBER:
            self.ignoreNextPacket = 0
        else:
            raise WireError(f"message {number} while awaiting {self.phase.name}")

    def unknown_message(self, payload: memoryview) -> None:
        """Answer a message that means nothing here (RFC 4253, 11.4)."""
        sequence = (self.reader.opener.sequence - 1) & 0xFFFFFFFF
        self.sendPacket(MSG_UNIMPLEMENTED, struct.pack(">L", sequence))

    def _drop(self, data: bytes) -> None:
        """Drop bytes that come after the end."""

    # Sending.

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        """Send a message; one that may not pass during a key exchange waits for its end."""
        self.send_message(bytes((messageType,)) + payload)

    def send_message(self, head: bytes, data: Buffer = b"") -> None:
        """See ``IMessageTransport``."""
        if self.phase is _OVER:
            return
        if self._held is not None and not _passes_in_key_exchange(head[0]):
            self._held.append((head, bytes(data)))
            return
        size = len(head) + len(data) + LARGEST_OVERHEAD
        if data:
            self.carried = True
            self._count_sent()
        if not self._corked:
            # Another connection's read, handled now, is likely to send more.
            gathering = self.gathering
            self._corked = gathering.waits(size) if data else gathering.waits_for_event()
        if self._filled + size > _OUT_SIZE:
            self._write_corked()
        if size > _OUT_SIZE:
            self.transport.writeSequence(self.sealer.seal(head, data))
            return
        if self._out is None:
            self._out = _out_buffers.take()
        self._filled = self.sealer.seal_into(self._out, self._filled, head, data)
        if not self._corked:
            self._write_corked()

    def hold(self) -> None:
        """Keep back what may not pass during a key exchange, from our KEXINIT on."""
        self._held = []
        self._update_flow()

    def release(self) -> None:
        """Send the messages kept back: our NEWKEYS has been sent."""
        held, self._held = self._held or [], None
        for head, data in held:
            self.send_message(head, data)
        self._update_flow()

    def _uncork(self) -> None:
        """Write the gathered bytes, and gather no more."""
        self._write_corked()
        self._corked = False

    def _write_corked(self) -> None:
        out, self._out = self._out, None
        size, self._filled = self._filled, 0
        if out is not None:
            write_now(self.transport, out[:size])
            _out_buffers.give_back(out)

    # The socket's backlog: IPushProducer.

    def pauseProducing(self) -> None:
        """Too much is unsent."""
        self._full = True
        self._update_flow()

    def resumeProducing(self) -> None:
        """All that was unsent is with the kernel."""
        self._full = False
        self._update_flow()

    def stopProducing(self) -> None:
        """The socket is gone; ``connectionLost`` tells why."""

    def _count_sent(self) -> None:
        self._sent += 1
        if self._sent >= MOST_AT_ONCE and self._rest is None:
            self._rest = self.clock.callLater(0, self._rested)
            self._update_flow()

    def _rested(self) -> None:
        self._rest, self._sent = None, 0
        self._update_flow()

    def _update_flow(self) -> None:
        blocked = self._full or self._held is not None or self._rest is not None
        if blocked == self._blocked:
            return
        self._blocked = blocked
        if self.multiplexer is not None:
            if blocked:
                self.multiplexer.pause_sending()
            else:
                self.guarded(self.multiplexer.resume_sending)

    def setService(self, service: Any) -> None:
        """Stop the service that runs and start another (Conch logs a line for each)."""
        if self.service is not None:
            stopped: Any = self.service
            stopped.serviceStopped()
        self.service = service
        service.transport = self
        service.serviceStarted()

    # The end.

    def end_connection(self, reason_code: int, description: str) -> None:
        """See ``IMessageTransport``."""
        self.broken(reason_code, description)

    def sendDisconnect(self, reason: int, desc: "bytes | str") -> None:
        """Send DISCONNECT; nothing is sent or dispatched after it."""
        if self.phase is Phase.OVER:
            return
        text = desc.decode("utf-8", "replace") if isinstance(desc, bytes) else desc
        if self.phase is not Phase.IDENTIFICATION:
            self.sendPacket(MSG_DISCONNECT, struct.pack(">L", reason) + NS(text) + NS(b""))
        self.close(text)

    def loseConnection(self) -> None:
        """End the connection in good order."""
        self.sendDisconnect(DISCONNECT_CONNECTION_LOST, "the connection was closed")

    def close(self, reason: str) -> None:
        """Stop dispatching, end what runs on the connection, then close the socket."""
        if self.phase is Phase.OVER:
            return
        self._uncork()
        if self.multiplexer is not None:
            self.transport.unregisterProducer()
        self._over(reason)
        self.close_socket()

    def close_socket(self) -> None:
        """Close once all that was written is sent, or soon."""
        self.transport.loseConnection()
        self.abort_after(self.limits.close_seconds)

    def abort_after(self, seconds: float) -> None:
        """Abort the socket unless it has closed by then."""
        self._abort = self.clock.callLater(seconds, self.transport.abortConnection)

    def connectionLost(self, reason: "Failure | None" = None) -> None:
        """End what ran on the connection, if that hasn't happened yet."""
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        if self.phase is not Phase.OVER:
            clean = reason is None or reason.check(ConnectionDone)
            text = "" if clean or reason is None else f": {reason.getErrorMessage()}"
            self._over(f"the client closed the connection{text}")

    def ssh_DISCONNECT(self, packet: bytes) -> None:
        """End the connection: the client left, or reports an error."""
        self.said_goodbye = packet[:4] == _BY_APPLICATION
        self.close(f"the client disconnected: {escape(packet[8:-4] or b'no reason given')}")

    def _over(self, reason: str) -> None:
        self.end_reason = reason
        self.phase = Phase.OVER
        self._receive = self._drop
        self.rounds.stop()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        self._late = b""
        self._held = None
        service: Any = self.service
        self.service = None
        self.multiplexer = None
        self.ended()
        if service is not None:
            self.guarded(service.serviceStopped)

    def ended(self) -> None:
        """Hear that the connection is over; called once, before the service hears it."""


def _passes_in_key_exchange(number: int) -> bool:
    """Whether a message may be sent between KEXINIT and NEWKEYS (RFC 4253, 7.1)."""
    return number <= _LAST_NOISE or _FIRST_KEX_RELATED <= number <= LAST_KEX_NUMBER

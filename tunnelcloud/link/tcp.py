"""Joins a channel to a TCP connection: a connector's end of a stream.

What holds, in words:

- Bytes of the channel are consumed when the target's socket has taken them, or while it has
  little unsent; so a target that doesn't read holds its client back.
- Beyond the bytes that the link has taken, no more is read from the target than ``ReadAhead``
  allows.
- The target's end of stream is EOF on the channel and the channel's is FIN to the target, each
  after all bytes before it, and the other direction goes on.
- The pod hears of a clean end only after the target's system has acknowledged every byte.  Before
  every end it hears how many bytes were acknowledged.
- When the pod wants no more of the target's bytes, they are read and dropped.  The channel is over
  when the target has taken all.  The socket is closed when the target has ended too, or after
  ``FAREWELL_SECONDS``: a target that still sends then gets a reset.
- A target that takes nothing until its time is up gets a reset.
- A target that resets is CLOSE without EOF (or after it, if its stream had ended), with a code that
  says why.  CLOSE from the pod is a reset towards the target, as is a link that is lost before all
  of the client's bytes are here.

The module knows neither how the target was chosen nor how it was reached.
"""

import struct
from typing import Any

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.splice import (
    END_REASON_REQUEST,
    NO_MORE_REQUEST,
    NOT_READING,
    PATIENCE,
    TAKEN_REQUEST,
)
from tunnelcloud.link.read_ahead import SMALLEST_READ, ReadAhead
from tunnelcloud.net.sockets import (
    before_close,
    end_writing,
    tune_socket,
    unacknowledged,
    was_reset,
    write_now,
)
from tunnelcloud.net.write_coalescing import TURN

FAREWELL_SECONDS = 10.0
"""For how many seconds a target may go on sending, to nobody, after it has taken all."""

FAREWELL_SIZE = 16 * 1024 * 1024
"""How many bytes it may send then: more than both systems keep in their buffers by default.

A target that sends all the while reads the end only after these have gone, and a reset would come
before it."""

_FIRST_LOOK = 0.005
_SLOWEST_LOOKS = 1.0
_LONGEST_PATIENCE = 24 * 3600

_patience = struct.Struct(">I")
_pack_taken = struct.Struct(">Q").pack


@implementer(IChannelUser, IHalfCloseableProtocol, IPushProducer)
class TargetStream(Protocol):
    """The protocol of a connection to a target; confirms its channel once it is connected.

    :param ahead: tells how much of the target may wait for the link.
    """

    transport: Any  # a TCP transport; no interface says all that is used of it

    def __init__(self, channel: IChannel, clock: IReactorTime, ahead: ReadAhead) -> None:
        self._channel = channel
        self._ahead = ahead
        self._read_size = SMALLEST_READ
        self._clock = clock
        self._reading = True
        self._unsent_to_link = 0
        self._paused = False
        self._withheld = 0
        self._target_ended = False
        self._client_ended = False
        self._over = False
        self._lost = False
        self._broken = False
        self._wanted = True  # from the target
        self._client_sent_all = False
        self._cut = False
        self._to_target = 0
        self._taken = 0
        self._taken_told = 0
        self._patience: float = PATIENCE
        self._dropped = 0
        self._look: IDelayedCall | None = None
        self._look_after = _FIRST_LOOK
        self._progress_at = 0.0

    # What the target's socket tells.

    def connectionMade(self) -> None:
        """Confirm the channel: the target is there."""
        tune_socket(self.transport, self._read_size)
        before_close(self.transport, self._count_taken)
        self.transport.registerProducer(self, True)
        self._channel.user = self
        self._channel.confirm()

    def dataReceived(self, data: bytes) -> None:
        """Send the target's bytes on, while anybody wants them."""
        if not self._wanted:
            self._dropped += len(data)
            if self._over and self._dropped > FAREWELL_SIZE:
                self._let_go()
            return
        count = len(data)
        self._unsent_to_link += count
        self._ahead.take(count)
        self._channel.write(data)
        size = self._ahead.next_read(self._read_size, count)
        if size != self._read_size:
            self._read_size = self.transport.bufferSize = size
        if self._unsent_to_link > self._ahead.limit and self._reading:
            self._reading = False
            self.transport.pauseProducing()

    def readConnectionLost(self) -> None:
        """End the target's direction; the client's goes on."""
        with TURN:  # an end is several messages
            self._read_end()

    def _read_end(self) -> None:
        self._target_ended = True
        if self._broken or was_reset(self.transport):
            self.transport.abortConnection()
            return
        if self._over:
            self._let_go()
            return
        self._channel.send_eof()
        self._finish()

    def writeConnectionLost(self) -> None:
        """The target's socket has taken all, FIN included."""
        self._client_ended = True
        self._release()
        self._finish()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the channel, if it hasn't ended before."""
        self._lost = True
        self._stop_looking()
        # A target that ended its stream before it reset has sent all of it: let that arrive.
        # (After a write that failed, an end may have been one, and is not told as such.)
        if not self._wanted and self._client_ended and self._taken == self._to_target:
            self._end_in_order()
        elif not (self._target_ended and self._unsent_to_link):
            self._end_abnormally()

    def pauseProducing(self) -> None:
        """Withhold credit: the target doesn't read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Give credit for what the target's socket has taken."""
        self._paused = False
        self._release()

    def stopProducing(self) -> None:
        """Nothing is to be done: the loss of the connection is told elsewhere."""

    # What the channel tells.

    def opened(self) -> None:
        """Never told: the channel is the peer's wish."""

    def open_failed(self, reason_code: int, description: str) -> None:
        """Never told: the channel is the peer's wish."""

    def data_received(self, data: memoryview) -> None:
        """Send the client's bytes on."""
        self._to_target += len(data)
        if not write_now(self.transport, data):
            self._broken = True
        if self._paused:
            self._withheld += len(data)
        else:
            self._channel.consumed(len(data))

    def eof_received(self) -> None:
        """Send FIN after the client's bytes."""
        self._client_sent_all = True
        if self._lost:  # what the target sent before is still on its way to the client
            return
        # A registered producer would keep the transport from getting that far.
        self.transport.unregisterProducer()
        end_writing(self.transport)

    def peer_closed(self) -> None:
        """Treat the pod's CLOSE as a cut: for an ordinary end it sends a request that it wants no
        more."""
        self._cut = True
        self._channel.close("cut by the pod")

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        """Hear that the client wants no more; a forwarded channel has no other requests."""
        if request_type != NO_MORE_REQUEST or len(data) != _patience.size or not self._wanted:
            return False
        self._wanted = False
        self._patience = max(1, min(_patience.unpack(data)[0], _LONGEST_PATIENCE))
        self._dropped = 0
        if not self._lost:
            if not self._reading:
                self._reading = True
                self.transport.resumeProducing()
            self._finish()
        return True

    def drained(self, count: int) -> None:
        """Read on when the link has taken enough."""
        self._unsent_to_link -= count
        self._ahead.give_back(count)
        if not self._reading and self._unsent_to_link * 2 <= self._ahead.limit:
            self._reading = True
            self.transport.resumeProducing()
        if self._lost and not self._unsent_to_link:
            self._end_abnormally()

    def closed(self, clean: bool, reason: str) -> None:
        """Let go of the target: in order if all went well or all is here, with RST otherwise."""
        self._ahead.give_back(self._unsent_to_link)
        self._unsent_to_link = 0
        if self._over:
            return
        if clean:
            self._over = True
            self._let_go()
        elif self._wanted or not self._client_sent_all or self._cut:
            self._over = True
            self._stop_looking()
            self.transport.abortConnection()

    # Inner workings.

    def _release(self) -> None:
        count, self._withheld = self._withheld, 0
        if count:
            self._channel.consumed(count)

    def _finish(self) -> None:
        """End the channel if all is done; else look again later: no event reports an
        acknowledgement."""
        ending = not self._wanted or (self._target_ended and self._client_ended)
        if self._over or self._lost or not ending:
            return
        before = self._taken
        self._count_taken()
        if self._client_ended and self._taken == self._to_target:
            self._end_in_order()
            return
        now = self._clock.seconds()
        if self._look is None or self._taken > before:
            self._progress_at = now
        elif now - self._progress_at >= self._patience:
            self._end_abnormally(NOT_READING)
            self.transport.abortConnection()
            return
        self._tell_progress()
        self._stop_looking()
        self._look = self._clock.callLater(self._look_after, self._finish)
        self._look_after = min(self._look_after * 2, _SLOWEST_LOOKS, self._patience / 4)

    def _count_taken(self) -> None:
        """Note how many bytes the target's system has acknowledged."""
        waiting = unacknowledged(self.transport)
        self._taken = self._to_target if waiting is None else self._to_target - waiting

    def _tell_taken(self) -> None:
        self._taken_told = self._taken
        self._channel.send_request(TAKEN_REQUEST, _pack_taken(self._taken))

    def _tell_progress(self) -> None:
        """Tell the pod that the target reads, so that the pod doesn't give it up."""
        slow = self._look_after >= min(_SLOWEST_LOOKS, self._patience / 4)
        if slow and self._taken > self._taken_told:
            self._tell_taken()

    def _end_in_order(self) -> None:
        self._over = True
        with TURN:
            self._tell_taken()
            self._channel.send_eof()
            self._channel.close()
        self._stop_looking()
        if self._target_ended:
            self._let_go()
        elif not self._lost:
            self._dropped = 0
            self._look = self._clock.callLater(FAREWELL_SECONDS, self._let_go)

    def _let_go(self) -> None:
        """Close the socket when it has taken all."""
        self._stop_looking()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _stop_looking(self) -> None:
        if self._look is not None and self._look.active():
            self._look.cancel()

    def _end_abnormally(self, code: bytes = b"reset") -> None:
        if not self._over:
            self._over = True
            self._stop_looking()
            with TURN:
                self._tell_taken()
                self._channel.send_request(END_REASON_REQUEST, code)
                self._channel.close("target: " + code.decode("ascii"))

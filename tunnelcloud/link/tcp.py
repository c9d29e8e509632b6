"""Joins a channel to a TCP connection: a connector's end of a stream.

What holds, in words:

- Bytes of the channel are consumed when the target's socket has taken them, or while it has
  little unsent; so a target that doesn't read holds its client back.
- No more is read of the target than L{READ_AHEAD} beyond what the link has taken.
- The target's end of stream is EOF on the channel and the channel's is FIN to the target, each
  after all bytes before it, and the other direction goes on.
- A clean end is told only when the target's socket has taken every byte.  A target that resets
  is CLOSE without EOF (or after it, if its stream had ended), with a code that says why; a client
  that is lost is RST to the target.

The module knows neither how the target was chosen nor how it was reached.
"""

from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.splice import END_REASON_REQUEST
from tunnelcloud.link.sockets import tune_socket, was_reset, write_now

READ_AHEAD = 256 * 1024
"""How many bytes of the target may wait for the link."""


@implementer(IChannelUser, IHalfCloseableProtocol, IPushProducer)
class TargetStream(Protocol):
    """The protocol of a connection to a target; confirms its channel once it is connected."""

    transport: Any  # a TCP transport; no interface says all that is used of it

    def __init__(self, channel: IChannel) -> None:
        self._channel = channel
        self._reading = True
        self._unsent_to_link = 0
        self._paused = False
        self._withheld = 0
        self._target_ended = False
        self._client_ended = False
        self._over = False
        self._lost = False
        self._broken = False

    # What the target's socket tells.

    def connectionMade(self) -> None:
        """Confirm the channel: the target is there."""
        tune_socket(self.transport, READ_AHEAD // 2)
        self.transport.registerProducer(self, True)
        self._channel.user = self
        self._channel.confirm()

    def dataReceived(self, data: bytes) -> None:
        """Send the target's bytes on."""
        self._unsent_to_link += len(data)
        self._channel.write(data)
        if self._unsent_to_link > READ_AHEAD and self._reading:
            self._reading = False
            self.transport.pauseProducing()

    def readConnectionLost(self) -> None:
        """End the target's direction; the client's goes on."""
        self._target_ended = True
        if self._broken or was_reset(self.transport):
            self.transport.abortConnection()
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
        # A target that ended its stream before it reset has sent all of it: let that arrive.
        # (After a write that failed, an end may have been one, and is not told as such.)
        if not (self._target_ended and self._unsent_to_link):
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
        if not write_now(self.transport, data):
            self._broken = True
        if self._paused:
            self._withheld += len(data)
        else:
            self._channel.consumed(len(data))

    def eof_received(self) -> None:
        """Send FIN after the client's bytes."""
        if self._lost:  # what the target sent before is still on its way to the client
            return
        # A registered producer would keep the transport from getting that far.
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        """Refuse: a forwarded channel has no requests."""
        return False

    def drained(self, count: int) -> None:
        """Read on when the link has taken enough."""
        self._unsent_to_link -= count
        if not self._reading and self._unsent_to_link * 2 <= READ_AHEAD:
            self._reading = True
            self.transport.resumeProducing()
        if self._lost and not self._unsent_to_link:
            self._end_abnormally()

    def closed(self, clean: bool, reason: str) -> None:
        """Let go of the target: in order if all went well, with RST otherwise."""
        if self._over:
            return
        self._over = True
        if clean:
            self.transport.unregisterProducer()
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()

    # Inner workings.

    def _release(self) -> None:
        count, self._withheld = self._withheld, 0
        if count:
            self._channel.consumed(count)

    def _finish(self) -> None:
        if self._target_ended and self._client_ended and not self._over:
            self._over = True
            self._channel.close()
            self.transport.loseConnection()

    def _end_abnormally(self) -> None:
        if not self._over:
            self._over = True
            self._channel.send_request(END_REASON_REQUEST, b"reset")
            self._channel.close("target: reset")

"""A channel that is opened to check whether a target accepts it, and which certificate it shows."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.splice import want_no_more
from tunnelcloud.domain.dial_failures import DialFailure
from tunnelcloud.pod.certificate_probe import Handshake, HandshakeFailed
from tunnelcloud.pod.interfaces import IAttachedLink
from tunnelcloud.pod.router import OPEN_TIMEOUT, direct_tcpip

HANDSHAKE_TIMEOUT = 5.0
"""Seconds from the connection to the certificate."""

ENDING_TIMEOUT = 10
"""Seconds from the end of a check until its channel is cut, if the connector hasn't closed it."""


@implementer(IChannelUser)
class Probe:
    """One channel: opened, listened to if there is a handshake to be done, and ended in order.

    The target sees the end of a stream, and not a reset, also when it is just about to speak.

    :ivar opened_or_not: fires with ``""`` when the target accepted, or with a code of
        ``DialFailure``.
    :ivar looked: fires after that with ``""`` if a certificate was seen, or with the reason if not.
    :ivar over: fires when the channel is closed again, or never came to be.
    :ivar handshake_seconds: how long that took.
    """

    def __init__(self, clock: IReactorTime, handshake: Handshake | None = None) -> None:
        self.opened_or_not: Deferred[str] = Deferred()
        self.looked: Deferred[str] = Deferred()
        self.over: Deferred[None] = Deferred()
        self.handshake_seconds = 0.0
        self._clock = clock
        self._handshake = handshake
        self._channel: IChannel | None = None
        self._timeout: IDelayedCall | None = None
        self._began = 0.0

    def open(self, link: IAttachedLink, host: str, port: int) -> None:
        """Ask a connector for the target."""
        self._timeout = self._clock.callLater(OPEN_TIMEOUT, self._cut, DialFailure.TIMED_OUT.value)
        data = direct_tcpip(host, port, ("127.0.0.1", 0))
        self._channel = link.multiplexer.open_channel(b"direct-tcpip", data, self)

    def opened(self) -> None:
        """The target accepted."""
        self._stop_waiting()
        self._began = self._clock.seconds()
        self._tell(self.opened_or_not, "")
        if self._handshake is None:
            self._end()
        else:
            self._timeout = self._clock.callLater(
                HANDSHAKE_TIMEOUT,
                self._over,
                f"the target didn't answer the TLS hello within {HANDSHAKE_TIMEOUT:.0f} s",
            )
            self._write(self._handshake.begin())

    def open_failed(self, reason_code: int, description: str) -> None:
        """It didn't, or the link is lost."""
        self._stop_waiting()
        self._tell(self.opened_or_not, description)
        self._ended()

    def data_received(self, data: memoryview) -> None:
        """Take the target's bytes of the handshake, and drop all others."""
        self._consumed(len(data))
        if self._handshake is None or self.looked.called:
            return
        try:
            self._write(self._handshake.feed(data))
        except HandshakeFailed as error:
            self._finish(str(error))
            return
        if self._handshake.over:
            self._finish("")

    def eof_received(self) -> None:
        """It has said all it will."""
        self._over("the target closed the connection before it showed a certificate")

    def peer_closed(self) -> None:
        """Close as well: the target has sent all."""
        if self._channel is not None:
            self._channel.close("closed by the peer")

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        """Refuse: there is nothing to ask a probe."""
        return False

    def drained(self, count: int) -> None:
        """What is sent is a few records: nobody waits to send more."""

    def closed(self, clean: bool, reason: str) -> None:
        """The channel is over, whoever ended it."""
        self._channel = None
        self._stop_waiting()
        self._tell(self.opened_or_not, reason)
        self._over("the connection ended before the target showed a certificate")
        self._ended()

    def _over(self, reason: str) -> None:
        """End the handshake with the bytes so far: nothing more comes."""
        if self._handshake is not None and not self.looked.called:
            try:
                self._handshake.end(reason)
            except HandshakeFailed as error:
                self._finish(str(error))
            else:
                self._finish("")

    def _finish(self, outcome: str) -> None:
        self._stop_waiting()
        self.handshake_seconds = self._clock.seconds() - self._began
        self._tell(self.looked, outcome)
        self._end()

    def _stop_waiting(self) -> None:
        if self._timeout is not None and self._timeout.active():
            self._timeout.cancel()

    def _consumed(self, count: int) -> None:
        if self._channel is not None:
            self._channel.consumed(count)

    def _write(self, data: bytes) -> None:
        if data and self._channel is not None:
            self._channel.write(data)

    def _end(self) -> None:
        """Want no more of the target; ``closed`` follows when the connector has closed."""
        if self._channel is not None:
            self._timeout = self._clock.callLater(
                ENDING_TIMEOUT, self._cut, "the connector didn't close the channel"
            )
            want_no_more(self._channel, ENDING_TIMEOUT)

    def _cut(self, reason: str) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close(reason)
            self._ended()

    def _ended(self) -> None:
        if not self.over.called:
            self.over.callback(None)

    @staticmethod
    def _tell(whom: Deferred[str], outcome: str) -> None:
        if not whom.called:
            whom.callback(outcome)

"""Answers a pod's request for a channel: dials the target, and joins the two."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.messages import OPEN_UNKNOWN_CHANNEL_TYPE, DirectTcpip
from tunnelcloud.channels.unconfirmed import UnconfirmedUser
from tunnelcloud.connector.dialer import Dialer
from tunnelcloud.domain.dial_failures import DialError, DialFailure
from tunnelcloud.link.read_ahead import DEFAULT_TOTAL, ReadAhead
from tunnelcloud.link.tcp import TargetStream

_log = Logger()


class Targets:
    """Opens channels to targets.

    :ivar stopping: whether new channels are refused, since the connector stops.
    """

    def __init__(self, dialer: Dialer, clock: IReactorTime) -> None:
        self.stopping = False
        self._ahead = ReadAhead(DEFAULT_TOTAL)
        self._dialer = dialer
        self._clock = clock

    def open(self, channel: IChannel, channel_type: bytes, data: bytes) -> None:
        """Confirm or refuse a channel, in time.

        :raise ProtocolError: the request is malformed.
        """
        if channel_type != b"direct-tcpip":
            channel.refuse(OPEN_UNKNOWN_CHANNEL_TYPE, DialFailure.FAILED)
            return
        request = DirectTcpip.decode(data)
        if self.stopping:
            _refuse(channel, DialFailure.DRAINING)
            return
        host = request.host.decode("utf-8", "replace")
        pending = _Pending()
        channel.user = pending
        pending.dialing = self._dialer.dial(
            host, request.port, lambda: TargetStream(channel, self._clock, self._ahead)
        )
        pending.dialing.addErrback(_failed, channel, host, request.port)


@implementer(IChannelUser)
class _Pending(UnconfirmedUser):
    """The user of a channel until its target is connected: it can only be given up."""

    dialing: Deferred[Protocol]

    def closed(self, clean: bool, reason: str) -> None:
        """Give up: the link is lost."""
        self.dialing.cancel()


def _failed(failure: Failure, channel: IChannel, host: str, port: int) -> None:
    if failure.check(CancelledError):
        return
    error = failure.value
    if isinstance(error, DialError):
        _log.info("{host!r} port {port}: {why}", host=host, port=port, why=error.failure.text)
        _refuse(channel, error.failure)
    else:
        _log.failure("{host!r} port {port} could not be dialled", failure, host=host, port=port)
        _refuse(channel, DialFailure.FAILED)


def _refuse(channel: IChannel, failure: DialFailure) -> None:
    channel.refuse(failure.reason_code, failure.value)

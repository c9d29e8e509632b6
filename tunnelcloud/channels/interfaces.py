"""The seams of the channel machine (RFC 4254).

A multiplexer knows a message transport below it, one user for what concerns the whole
connection, and one user for each channel.  It never sees a socket, a reactor or a clock.

Every channel's user hears exactly one of ``IChannelUser.open_failed`` and ``IChannelUser.closed``,
and nothing after it.  ``IChannelUser.drained`` counts what has left since it was last called, so
that whoever feeds the channel can grant its own source as much again without waiting for all.
"""

from zope.interface import Attribute, Interface


class IMessageTransport(Interface):
    """What a multiplexer sends through: an SSH connection or a link.

    It calls the multiplexer's ``pause_sending`` when too much is unsent, and ``resume_sending``
    when all of it has been taken by the socket.
    """

    def send_message(head: bytes, data: "bytes | memoryview" = b"") -> None:
        """Send one connection-protocol message, ``head`` followed by ``data``.

        ``data`` may be reused by the caller once this returns.
        """

    def end_connection(reason_code: int, description: str) -> None:
        """End the whole connection (RFC 4253, 11.1): the peer broke the protocol."""


class IConnectionUser(Interface):
    """Hears what concerns the connection as a whole."""

    def channel_open_requested(channel: "IChannel", channel_type: bytes, data: bytes) -> None:
        """The peer asks for a channel; ``data`` is what is specific to the type.

        Sooner or later answer with ``IChannel.confirm`` or ``IChannel.refuse``; set
        ``IChannel.user`` before confirming.  A user set before that hears ``IChannelUser.closed``
        if the connection ends first.

        :raise ProtocolError: the peer may not ask for this; the connection ends.
        """

    def global_request_received(name: bytes, data: bytes) -> "bytes | None":
        """Answer a global request: the reply's data, or None for REQUEST_FAILURE.

        :raise ProtocolError: the connection ends.
        """


class IChannelUser(Interface):
    """Hears what happens on one channel.  No method is called after ``closed``."""

    def opened() -> None:
        """The peer confirmed a channel that this side asked for."""

    def open_failed(reason_code: int, description: str) -> None:
        """The peer refused a channel that this side asked for (RFC 4254, 5.1), or is lost."""

    def data_received(data: memoryview) -> None:
        """Bytes arrived; valid during the call only.

        Whoever takes them calls ``IChannel.consumed`` with their number, once they are gone.
        """

    def eof_received() -> None:
        """The peer will send no more bytes.  The other direction goes on."""

    def peer_closed() -> None:
        """The peer's CLOSE came: it has sent all, and wants no more.

        Bytes that were written and haven't been sent count as drained.  ``closed`` follows when all
        bytes that came before have been consumed.  A user that takes this for an abnormal end calls
        ``IChannel.close`` at once.
        """

    def request_received(request_type: bytes, data: bytes) -> bool:
        """Answer a channel request: True for SUCCESS, False for FAILURE."""

    def drained(count: int) -> None:
        """``count`` bytes of what was written have left: as many more may be written."""

    def closed(clean: bool, reason: str) -> None:
        """The channel is over: ``clean`` when both directions had ended by EOF before.

        Called once CLOSE was sent or received, also from within ``IChannel.close``.
        ``reason`` is for the audit: ``""``, or why it ended otherwise.
        """


class IChannel(Interface):
    """One channel of a multiplexer."""

    user = Attribute("The ``IChannelUser``; set it before confirming or opening.")
    number = Attribute("This side's number for the channel, unique within the connection.")
    account = Attribute(
        "The ``CreditAccount`` its window is taken from; settable before confirming."
    )

    def confirm(data: bytes = b"") -> None:
        """Send CHANNEL_OPEN_CONFIRMATION."""

    def refuse(reason_code: int, description: str) -> None:
        """Send CHANNEL_OPEN_FAILURE with a text for the end user."""

    def write(data: "bytes | memoryview") -> None:
        """Send bytes as the peer's window and the transport's backlog allow; queue the rest.

        What is queued is bounded by the credit the caller granted to its own source.
        """

    def write_error(line: bytes) -> None:
        """Send a short line as standard error, before the queued bytes.

        Whatever doesn't fit into the peer's window is dropped.
        """

    def send_eof() -> None:
        """Send EOF after all that was written."""

    def close(reason: str = "") -> None:
        """Send CLOSE: after the queue when both directions ended, at once otherwise.

        An open that is still unanswered is given up: it counts against the limits until the
        answer comes, and is closed at once if that is a confirmation.
        """

    def consumed(count: int) -> None:
        """``count`` received bytes have been passed on: the peer may be granted as many again."""

    def send_request(request_type: bytes, data: bytes = b"") -> None:
        """Send a CHANNEL_REQUEST that wants no reply (exit-status, for one)."""

"""The seams of the channel machine (RFC 4254).

A multiplexer knows a message transport below it, one user for what concerns the whole
connection, and one user for each channel.  It never sees a socket, a reactor or a clock.
"""

from zope.interface import Attribute, Interface


class IMessageTransport(Interface):
    """What a multiplexer sends through: an SSH connection or a link."""

    def send_message(head: bytes, data: "bytes | memoryview" = b"") -> None:
        """Send one connection-protocol message, C{head} followed by C{data}.

        C{data} may be reused by the caller once this returns.
        """

    def end_connection(reason_code: int, description: str) -> None:
        """End the whole connection (RFC 4253, 11.1): the peer broke a rule that can't be mended."""


class IConnectionUser(Interface):
    """Hears what concerns the connection as a whole."""

    def channel_open_requested(channel: "IChannel", channel_type: bytes, data: bytes) -> None:
        """The peer asks for a channel; C{data} is what is specific to the type.

        Sooner or later answer with L{IChannel.confirm} or L{IChannel.refuse}; set
        L{IChannel.user} before confirming.
        """

    def global_request_received(name: bytes, data: bytes) -> "bytes | None":
        """Answer a global request: the reply's data, or None for REQUEST_FAILURE."""


class IChannelUser(Interface):
    """Hears what happens on one channel.  No method is called after L{closed}."""

    def opened() -> None:
        """The peer confirmed a channel that this side asked for."""

    def open_failed(reason_code: int, description: str) -> None:
        """The peer refused a channel that this side asked for (RFC 4254, 5.1)."""

    def data_received(data: memoryview) -> None:
        """Bytes arrived; valid during the call only.

        Whoever takes them calls L{IChannel.consumed} with their number, once they are gone.
        """

    def eof_received() -> None:
        """The peer will send no more bytes.  The other direction goes on."""

    def request_received(request_type: bytes, data: bytes) -> bool:
        """Answer a channel request: True for SUCCESS, False for FAILURE."""

    def drained() -> None:
        """All that was written has left: the user may write more."""

    def closed(clean: bool, reason: str) -> None:
        """The channel is over: C{clean} when both directions had ended before.

        C{reason} is for the audit: C{""}, or why it ended otherwise.
        """


class IChannel(Interface):
    """One channel of a multiplexer."""

    user = Attribute("The L{IChannelUser}; set it before confirming or opening.")

    def confirm(data: bytes = b"") -> None:
        """Send CHANNEL_OPEN_CONFIRMATION."""

    def refuse(reason_code: int, description: str) -> None:
        """Send CHANNEL_OPEN_FAILURE with a text for the end user."""

    def write(data: "bytes | memoryview") -> None:
        """Send bytes as the peer's window and the transport's backlog allow; queue the rest.

        What is queued is bounded by the credit the caller granted to its own source.
        """

    def send_eof() -> None:
        """Send EOF after all that was written."""

    def close(reason: str = "") -> None:
        """Send CLOSE: after the queue when both directions ended, at once otherwise."""

    def consumed(count: int) -> None:
        """C{count} received bytes have been passed on: the peer may be granted as many again."""

    def send_request(request_type: bytes, data: bytes = b"") -> None:
        """Send a CHANNEL_REQUEST that wants no reply (exit-status, for one)."""

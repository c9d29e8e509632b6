"""One channel of a connection: what it sends, what it receives, its queue and its two windows.

What holds, in words:

- Not a byte is sent beyond the peer's window, nor more than its packet size at once.
- Bytes leave in the order they were written; EOF after the last of them, CLOSE after EOF unless
  the end is abnormal.  After EOF no byte is written, after CLOSE nothing is sent.
- A peer sends no bytes after its EOF, and nothing after its CLOSE.
- What was written counts as drained only when the connection's socket has taken it, or while the
  connection has little unsent, or when the peer doesn't want it any more.
- A peer's CLOSE says that it has sent all and wants no more (RFC 4254, 5.3).  The user hears of it
  at once.  The channel answers it when all bytes before it have been consumed, even if the
  connection is lost meanwhile: as long as they are held somewhere their credit is counted.
- After both closes nothing is left: queue empty, credit given back, number free.

``tunnelcloud.channels.invariants`` checks these.  A channel knows its multiplexer and its user, and
neither a socket nor a clock.
"""

import struct

from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel
from tunnelcloud.channels.messages import (
    MSG_CHANNEL_WINDOW_ADJUST,
    OPEN_CONNECT_FAILED,
    ChannelClose,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    ProtocolError,
)
from tunnelcloud.channels.sending import Connection, Sender
from tunnelcloud.channels.states import EOF_FOLLOWS, GOT_CLOSE, SENT_CLOSE, Receiving, Sending
from tunnelcloud.channels.windows import KIB, CreditAccount, ReceiveWindow

SMALLEST_PACKET = 1 * KIB

FREE_REQUESTS = 4

_pack_adjust = struct.Struct(">BII").pack


# Looking a member up in an Enum costs as much as a method call, and this happens for each packet.
_RECEIVES = Receiving.OPEN


@implementer(IChannel)
class Channel(Sender):
    """One channel; made by a multiplexer.

    :ivar receiving: where its receiving half stands.
    :ivar window: what the peer may send; None before the open is answered.
    :ivar free_requests: how many requests the peer may still send that don't count against its
        limit.
    """

    __slots__ = (
        "account",
        "channel_type",
        "free_requests",
        "receiving",
        "window",
    )

    def __init__(
        self, connection: Connection, number: int, channel_type: bytes, account: CreditAccount
    ) -> None:
        super().__init__(connection, number)
        self.channel_type = channel_type
        self.account = account
        self.free_requests = FREE_REQUESTS
        self.receiving = Receiving.WAITING
        self.window: ReceiveWindow | None = None

    @property
    def answer_due(self) -> bool:
        """Whether the peer owes an answer that doesn't depend on a slow reader."""
        # A CLOSE after EOF is answered when all bytes before it have been taken.
        return self.sending is Sending.GIVEN_UP or self.sending is Sending.CUT

    # What the owner calls.

    def confirm(self, data: bytes = b"") -> None:
        """Send CHANNEL_OPEN_CONFIRMATION; without effect once the channel is over."""
        if self.sending in SENT_CLOSE:
            return
        assert self.sending is Sending.REQUESTED, "answered twice"
        assert self.user is not None, "confirmed without a user"
        self.sending, self.receiving = Sending.OPEN, Receiving.OPEN
        self.window = ReceiveWindow(self.account, self._connection.path)
        self._connection.send(
            ChannelOpenConfirmation(
                self.remote_number,
                self.number,
                self.window.size,
                self._connection.max_packet_size,
                data,
            ).encode()
        )

    def refuse(self, reason_code: int, description: str) -> None:
        """Send CHANNEL_OPEN_FAILURE; without effect once the channel is over."""
        if self.sending in SENT_CLOSE:
            return
        assert self.sending is Sending.REQUESTED, "answered twice"
        self._connection.send(
            ChannelOpenFailure(
                self.remote_number, reason_code, description.encode(), b"en"
            ).encode()
        )
        self.user = None
        self._end()

    def close(self, reason: str = "") -> None:
        """Send CLOSE: after the queue when both directions ended, at once otherwise."""
        sending = self.sending
        if sending is Sending.ASKED:
            self.sending = Sending.GIVEN_UP
            assert self.window is not None
            self.window.release()
            self._tell_closed(False, reason)
        elif sending is Sending.REQUESTED:
            user, self.user = self.user, None
            self.refuse(OPEN_CONNECT_FAILED, reason)
            if user is not None:
                user.closed(False, reason)
        elif sending in SENT_CLOSE or sending is Sending.GIVEN_UP:
            return
        elif sending in EOF_FOLLOWS and self.receiving in (Receiving.ENDED, Receiving.CLOSED):
            if sending is Sending.ENDED:
                self.send_close(True, "")
            else:
                self.sending = Sending.CLOSING
        else:
            self.send_close(False, reason)

    def consumed(self, count: int) -> None:
        """Grant the peer as much again, once that is enough for a message."""
        if self.user is None:
            return  # its credit was given back when it was closed
        assert self.window is not None
        due = self.window.consume(count)
        if self.receiving is _RECEIVES:
            if due:
                self._connection.send(
                    _pack_adjust(MSG_CHANNEL_WINDOW_ADJUST, self.remote_number, due)
                )
        elif self.receiving in GOT_CLOSE:
            self._answer_close()

    # What the multiplexer calls when a message names the channel.

    def confirmed(self) -> None:
        """Take the peer's confirmation, which ``set_remote`` has noted."""
        given_up = self.sending is Sending.GIVEN_UP
        if not given_up and self.sending is not Sending.ASKED:
            raise ProtocolError("a confirmation that nobody waits for")
        if not given_up and self.remote_max_packet < SMALLEST_PACKET:
            raise ProtocolError(f"a packet size of {self.remote_max_packet}")
        self.sending, self.receiving = Sending.OPEN, Receiving.OPEN
        if given_up:
            self.send_close(False, "")
        elif self.user is not None:
            self.user.opened()

    def failed(self, reason_code: int, description: str) -> None:
        """Take the peer's refusal."""
        if self.sending not in (Sending.ASKED, Sending.GIVEN_UP):
            raise ProtocolError("a refusal that nobody waits for")
        user, self.user = self.user, None
        self._end()
        if user is not None:
            user.open_failed(reason_code, description)

    def data_received(self, data: memoryview) -> None:
        """Receive bytes; count and drop them after this side's CLOSE."""
        self._receive(len(data))
        user = self.user
        if user is not None:
            user.data_received(data)

    def extended_data_received(self, data_type: int, data: bytes) -> None:
        """End the channel: no channel here has a second stream towards this side."""
        self._receive(len(data))
        self.close(f"extended data of type {data_type}")

    def window_adjusted(self, count: int) -> bool:
        """Receive credit; return whether it is for bytes that this side has sent."""
        self._check_open()
        is_due = self.add_credit(count)
        if is_due:
            self.free_requests = FREE_REQUESTS  # PuTTY sends one beside each
        return is_due

    def eof_received(self) -> None:
        """Take the end of the peer's bytes."""
        self._check_open()
        if self.receiving is Receiving.ENDED:
            raise ProtocolError("a second EOF")
        self.receiving = Receiving.ENDED
        if self.user is not None:
            self.user.eof_received()

    def request_received(self, request_type: bytes, data: bytes) -> "bool | None":
        """Receive a request; return whether it is granted, or None if it is too late."""
        self._check_open()
        if self.user is None:
            return None
        granted = self.user.request_received(request_type, data)
        return granted if self.sending not in SENT_CLOSE else None

    def close_received(self) -> None:
        """Take the peer's CLOSE: it has sent all, and wants no more."""
        self._check_open()
        ended = self.receiving is Receiving.ENDED
        self.receiving = Receiving.CLOSED if ended else Receiving.CUT
        if self.sending in SENT_CLOSE:
            self._end()
            return
        self.stop_sending()
        if self.user is not None:
            self.user.peer_closed()
        self._answer_close()

    def connection_lost(self, reason: str, in_order: bool = False) -> None:
        """End: nothing can be sent any more.  What a peer sent before its CLOSE is passed on.

        :param in_order: the peer sent DISCONNECT, which counts as the CLOSE of each of its
            channels.
        """
        if in_order and self.receiving in (Receiving.OPEN, Receiving.ENDED):
            self.close_received()
        if self.receiving in GOT_CLOSE and self.sending not in SENT_CLOSE:
            return  # the answer waits for the bytes before the CLOSE, although nobody hears it
        opening = self.sending is Sending.ASKED
        user, self.user = self.user, None
        self._end()
        if user is not None and opening:
            user.open_failed(OPEN_CONNECT_FAILED, reason)
        elif user is not None:
            user.closed(False, reason)

    # Inner workings.

    def _check_open(self) -> None:
        if self.receiving is Receiving.WAITING:
            raise ProtocolError("a message for a channel that is not open")
        if self.receiving in GOT_CLOSE:
            raise ProtocolError("a message for a channel after its CLOSE")

    def _receive(self, count: int) -> None:
        if self.receiving is not _RECEIVES:
            self._check_open()
            raise ProtocolError("bytes after EOF")
        assert self.window is not None
        self.window.receive(count)

    def _answer_close(self) -> None:
        """Answer the peer's CLOSE, if all bytes before it have been passed on."""
        assert self.window is not None
        if not self.window.held and self.sending not in SENT_CLOSE:
            clean = self.sending is Sending.ENDED and self.receiving is Receiving.CLOSED
            self.send_close(clean, "" if clean else "closed by the peer")

    def send_close(self, clean: bool, reason: str) -> None:
        """Send CLOSE, drop what waits, and tell the user."""
        self.drop_queue()
        self.sending = Sending.CLOSED if self.sending is Sending.ENDED else Sending.CUT
        assert self.window is not None
        self.window.release()
        self._connection.send(ChannelClose(self.remote_number).encode())
        self._tell_closed(clean, reason)
        if self.receiving in GOT_CLOSE:
            self._end()

    def _tell_closed(self, clean: bool, reason: str) -> None:
        user, self.user = self.user, None
        if user is not None:
            user.closed(clean, reason)

    def _end(self) -> None:
        """Leave nothing behind."""
        if self.sending not in SENT_CLOSE:
            self.sending = Sending.CUT
        if self.receiving not in GOT_CLOSE:
            self.receiving = Receiving.CUT
        self.drop_queue()
        if self.window is not None:
            self.window.release()
        self._connection.forget(self)

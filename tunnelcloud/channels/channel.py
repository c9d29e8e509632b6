"""One channel of a connection: its states, its queue, its two windows.

What holds, in words:

- Not a byte is sent beyond the peer's window, nor more than its packet size at once.
- Bytes leave in the order they were written; EOF after the last of them, CLOSE after EOF unless
  the end is abnormal.  After EOF no byte is written, after CLOSE nothing is sent.
- A peer sends no bytes after its EOF, and nothing after its CLOSE.
- What was written counts as drained only when the connection's socket has taken it, or while the
  connection has little unsent.
- A peer's CLOSE after its EOF is answered, and told to the user, when all its bytes have been
  consumed: they are whole, so none is dropped, and as long as they are held somewhere their credit
  is counted.  A CLOSE without EOF is answered at once.
- After both closes nothing is left: queue empty, credit given back, number free.

A channel knows its multiplexer and its user, and neither a socket nor a clock.
"""

import struct
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.channels.messages import (
    EXTENDED_DATA_STDERR,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_WINDOW_ADJUST,
    OPEN_CONNECT_FAILED,
    UINT32_MAX,
    ChannelClose,
    ChannelEof,
    ChannelExtendedData,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    ChannelRequest,
    ProtocolError,
)
from tunnelcloud.channels.windows import KIB, CreditAccount, Path, ReceiveWindow

SMALLEST_PACKET = 1 * KIB
_COALESCE = 16 * KIB
_QUANTUM = 32 * KIB

_pack_data = struct.Struct(">BII").pack
_pack_adjust = struct.Struct(">BII").pack


class State(Enum):
    """Where a channel stands."""

    OPENING = auto()  # this side asked
    GIVEN_UP = auto()  # this side asked, and has lost interest
    REQUESTED = auto()  # the peer asked
    OPEN = auto()
    CLOSING = auto()  # CLOSE was sent, the peer's is awaited
    CLOSED = auto()


# Looking a member up in an Enum costs as much as a method call, and this happens for each packet.
_OPEN, _CLOSING = State.OPEN, State.CLOSING


class Connection(Protocol):
    """What a channel asks of its multiplexer.

    :ivar send_data: sends the head and the data of one CHANNEL_DATA message.
    """

    paused: bool
    max_packet_size: int
    path: Path
    send_data: Callable[[bytes, bytes | memoryview], None]

    def send(self, message: bytes) -> None:
        """Send one control message."""

    def withhold(self, channel: "Channel") -> None:
        """Call the channel's C{release_withheld} once the socket has taken all that was sent."""

    def wait_turn(self, channel: "Channel") -> None:
        """Call the channel's C{send_queued} when its turn comes."""

    def forget(self, channel: "Channel") -> None:
        """Free the channel's number."""


@implementer(IChannel)
class Channel:
    """One channel; made by a multiplexer."""

    __slots__ = (
        "_close_received",
        "_close_wanted",
        "_connection",
        "_eof_received",
        "_eof_sent",
        "_eof_wanted",
        "_queue",
        "_withheld",
        "account",
        "channel_type",
        "number",
        "queued",
        "remote_max_packet",
        "remote_number",
        "remote_window",
        "state",
        "user",
        "waiting",
        "window",
    )

    def __init__(
        self, connection: Connection, number: int, channel_type: bytes, account: CreditAccount
    ) -> None:
        self._connection = connection
        self.number = number
        self.channel_type = channel_type
        self.account = account
        self.user: IChannelUser | None = None
        self.state = State.REQUESTED
        self.window: ReceiveWindow | None = None
        self.remote_number = 0
        self.remote_window = 0
        self.remote_max_packet = 0
        self.waiting = False
        self.queued = 0
        self._queue: deque[bytes | bytearray | memoryview] = deque()
        self._withheld = 0
        self._eof_wanted = self._eof_sent = self._eof_received = False
        self._close_wanted = self._close_received = False

    @property
    def answer_due(self) -> bool:
        """Whether the peer owes an answer that no slow reader can keep it from."""
        # A CLOSE after EOF is answered when all bytes before it have been taken.
        return self.state is State.GIVEN_UP or (self.state is State.CLOSING and not self._eof_sent)

    # What the owner calls.

    def confirm(self, data: bytes = b"") -> None:
        """Send CHANNEL_OPEN_CONFIRMATION; without effect once the channel is over."""
        if self.state is State.CLOSED:
            return
        assert self.state is State.REQUESTED, "answered twice"
        assert self.user is not None, "confirmed without a user"
        self.state = State.OPEN
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
        if self.state is State.CLOSED:
            return
        assert self.state is State.REQUESTED, "answered twice"
        self._connection.send(
            ChannelOpenFailure(
                self.remote_number, reason_code, description.encode(), b"en"
            ).encode()
        )
        self.user = None
        self._end()

    def write(self, data: "bytes | memoryview") -> None:
        """Send bytes as window and backlog allow, queue the rest; drop them if it is over."""
        if self.state is not _OPEN:
            return
        assert not self._eof_wanted, "written after EOF"
        if self._queue:
            self._enqueue(data)
            return
        sent = self._send_now(data)
        if sent < len(data):
            self._enqueue(memoryview(data)[sent:] if sent else data)
        if sent:
            self._passed_on(sent)

    def send_eof(self) -> None:
        """Send EOF after all that was written; without effect the second time."""
        if self.state is State.OPEN and not self._eof_wanted:
            self._eof_wanted = True
            self._finish()

    def close(self, reason: str = "") -> None:
        """Send CLOSE: after the queue when both directions ended, at once otherwise."""
        if self.state is State.OPENING:
            self.state = State.GIVEN_UP
            assert self.window is not None
            self.window.release()
            self._tell_closed(False, reason)
        elif self.state is State.REQUESTED:
            user, self.user = self.user, None
            self.refuse(OPEN_CONNECT_FAILED, reason)
            if user is not None:
                user.closed(False, reason)
        elif self.state is State.OPEN:
            if self._eof_received and self._eof_wanted:
                self._close_wanted = True
                self._finish()
            else:
                self._send_close(False, reason)

    def consumed(self, count: int) -> None:
        """Grant as much again, in steps that are worth a message."""
        if self.state is not _OPEN:
            return
        assert self.window is not None
        due = self.window.consume(count)
        if self._eof_received:
            if self._close_received and not self.window.held:
                self._answer_close()
        elif due:
            self._connection.send(_pack_adjust(MSG_CHANNEL_WINDOW_ADJUST, self.remote_number, due))

    def write_error(self, line: bytes) -> None:
        """Send a short line as standard error, past the queue; drop what has no room at once."""
        if self.state is not _OPEN or self._eof_wanted:
            return
        line = line[: min(self.remote_window, self.remote_max_packet)]
        if line:
            self.remote_window -= len(line)
            self._connection.send(
                ChannelExtendedData(self.remote_number, EXTENDED_DATA_STDERR, line).encode()
            )

    def send_request(self, request_type: bytes, data: bytes = b"") -> None:
        """Send a CHANNEL_REQUEST that wants no reply."""
        if self.state is State.OPEN:
            request = ChannelRequest(self.remote_number, request_type, False, data)
            self._connection.send(request.encode())

    # What the multiplexer calls when a message names the channel.

    def set_remote(self, number: int, window_size: int, max_packet_size: int) -> None:
        """Remember what the peer said when it opened or confirmed."""
        self.remote_number = number
        self.remote_window = window_size
        self.remote_max_packet = max_packet_size

    def confirmed(self) -> None:
        """Take the peer's confirmation, which L{set_remote} has noted."""
        if self.state is State.GIVEN_UP:
            self.state = State.OPEN
            self._send_close(False, "")
            return
        if self.state is not State.OPENING:
            raise ProtocolError("a confirmation that nobody waits for")
        if self.remote_max_packet < SMALLEST_PACKET:
            raise ProtocolError(f"a packet size of {self.remote_max_packet}")
        self.state = State.OPEN
        if self.user is not None:
            self.user.opened()

    def failed(self, reason_code: int, description: str) -> None:
        """Take the peer's refusal."""
        if self.state not in (State.OPENING, State.GIVEN_UP):
            raise ProtocolError("a refusal that nobody waits for")
        user, self.user = self.user, None
        self._end()
        if user is not None:
            user.open_failed(reason_code, description)

    def data_received(self, data: memoryview) -> None:
        """Take bytes; those that come after this side's CLOSE are counted and dropped."""
        self._receive(len(data))
        user = self.user
        if user is not None and self.state is _OPEN:
            user.data_received(data)

    def extended_data_received(self, data_type: int, data: bytes) -> None:
        """End the channel: no channel here has a second stream towards this side."""
        self._receive(len(data))
        self.close(f"extended data of type {data_type}")

    def window_adjusted(self, count: int) -> None:
        """Take credit."""
        self._check_open()
        self.remote_window += count
        if self.remote_window > UINT32_MAX:
            raise ProtocolError("a window beyond 2^32 - 1")
        if self._queue:
            self._connection.wait_turn(self)

    def eof_received(self) -> None:
        """Take the end of the peer's bytes."""
        self._check_open()
        if self._eof_received:
            raise ProtocolError("a second EOF")
        self._eof_received = True
        if self.state is State.OPEN and self.user is not None:
            self.user.eof_received()

    def request_received(self, request_type: bytes, data: bytes) -> "bool | None":
        """Take a request; answer whether it is granted, or None when it is too late to say."""
        self._check_open()
        if self.state is State.OPEN and self.user is not None:
            granted = self.user.request_received(request_type, data)
            return granted if self.state is State.OPEN else None
        return None

    def close_received(self) -> None:
        """Take the peer's CLOSE, and answer it."""
        self._check_open()
        if self.state is State.OPEN:
            assert self.window is not None
            self._close_received = True
            if not (self._eof_received and self.window.held):
                self._answer_close()
        else:
            self._end()

    def connection_lost(self, reason: str) -> None:
        """End at once: nothing can be sent any more."""
        opening = self.state is State.OPENING
        user, self.user = self.user, None
        self._end()
        if user is not None and opening:
            user.open_failed(OPEN_CONNECT_FAILED, reason)
        elif user is not None:
            user.closed(False, reason)

    # What the multiplexer calls when it may send.

    def send_queued(self) -> None:
        """Send at most one quantum of the queue, then wait for the next turn."""
        queue = self._queue
        connection = self._connection
        count = 0
        while queue and self.remote_window and count < _QUANTUM and not connection.paused:
            data = queue[0]
            size = len(data)
            most = min(self.remote_window, self.remote_max_packet, _QUANTUM)
            if size <= most:
                queue.popleft()
            else:
                view = memoryview(data)
                queue[0] = view[most:]
                data = view[:most]
                size = most
            self.remote_window -= size
            count += size
            head = _pack_data(MSG_CHANNEL_DATA, self.remote_number, size)
            connection.send_data(head, data)  # type: ignore[arg-type]  # a bytearray does as well
        self.queued -= count
        if queue:
            if self.remote_window:
                connection.wait_turn(self)
        else:
            assert self.queued == 0
            self._finish()
        if count:
            self._passed_on(count)

    def release_withheld(self) -> None:
        """Count as drained what the socket has taken now."""
        count, self._withheld = self._withheld, 0
        if count and self.user is not None:
            self.user.drained(count)

    # Inner workings.

    def _check_open(self) -> None:
        if self.state is not _OPEN and self.state is not _CLOSING:
            raise ProtocolError("a message for a channel that is not open")
        if self._close_received:
            raise ProtocolError("a message for a channel after its CLOSE")

    def _receive(self, count: int) -> None:
        if self.state is not _OPEN or self._eof_received:
            self._check_open()
            if self._eof_received:
                raise ProtocolError("bytes after EOF")
        assert self.window is not None
        self.window.receive(count)

    def _enqueue(self, data: "bytes | memoryview") -> None:
        if self.state is not _OPEN:
            return  # sending the bytes before these ended the connection
        size = len(data)
        tail = self._queue[-1] if self._queue else None
        if size >= _COALESCE:
            # What nobody can change needn't be copied.
            keep = type(data) is memoryview and type(data.obj) is bytes
            self._queue.append(data if keep else bytes(data))
        elif type(tail) is bytearray and len(tail) < _COALESCE:
            tail += data
        else:
            self._queue.append(bytearray(data))
        self.queued += size
        if self.remote_window and not self.waiting:
            self._connection.wait_turn(self)

    def _send_now(self, data: "bytes | memoryview") -> int:
        """Send what may go past the queue; return how much it was."""
        size = len(data)
        sent = 0
        connection = self._connection
        while sent < size and self.remote_window and not connection.paused:
            count = min(size - sent, self.remote_window, self.remote_max_packet)
            piece = data if count == size else memoryview(data)[sent : sent + count]
            self.remote_window -= count
            sent += count
            connection.send_data(_pack_data(MSG_CHANNEL_DATA, self.remote_number, count), piece)
        return sent

    def _passed_on(self, count: int) -> None:
        if self._connection.paused:
            if not self._withheld:
                self._connection.withhold(self)
            self._withheld += count
        elif self.user is not None:
            self.user.drained(count)

    def _finish(self) -> None:
        """Send what waits for the queue to be empty, if it is."""
        if self._queue or self.state is not State.OPEN:
            return
        if self._eof_wanted and not self._eof_sent:
            self._eof_sent = True
            self._connection.send(ChannelEof(self.remote_number).encode())
        if self._close_wanted:
            self._send_close(True, "")

    def _answer_close(self) -> None:
        clean = self._eof_sent and self._eof_received
        self._send_close(clean, "" if clean else "closed by the peer")

    def _send_close(self, clean: bool, reason: str) -> None:
        self._queue.clear()
        self.queued = 0
        self.state = State.CLOSING
        assert self.window is not None
        self.window.release()
        self._connection.send(ChannelClose(self.remote_number).encode())
        self._tell_closed(clean, reason)
        if self._close_received:
            self._end()

    def _tell_closed(self, clean: bool, reason: str) -> None:
        user, self.user = self.user, None
        if user is not None:
            user.closed(clean, reason)

    def _end(self) -> None:
        """Leave nothing behind."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._queue.clear()
        self.queued = self._withheld = 0
        if self.window is not None:
            self.window.release()
        self._connection.forget(self)

"""What a channel sends: its queue, the peer's window, its EOF.

The rules stand in ``tunnelcloud.channels.channel``, which adds what a channel receives.
"""

import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol

from tunnelcloud.channels.interfaces import IChannelUser
from tunnelcloud.channels.messages import (
    EXTENDED_DATA_STDERR,
    MSG_CHANNEL_DATA,
    UINT32_MAX,
    ChannelEof,
    ChannelExtendedData,
    ChannelRequest,
    ProtocolError,
)
from tunnelcloud.channels.states import EOF_FOLLOWS, Sending
from tunnelcloud.channels.windows import KIB, Path

_COALESCE = 16 * KIB
_QUANTUM = 32 * KIB

_pack_data = struct.Struct(">BII").pack

# Looking a member up in an Enum costs as much as a method call, and this happens for each packet.
_SENDS = Sending.OPEN


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

    def withhold(self, channel: "Sender") -> None:
        """Call the channel's ``release_withheld`` once the socket has taken all that was sent."""

    def wait_turn(self, channel: "Sender") -> None:
        """Call the channel's ``send_queued`` when its turn comes."""

    def forget(self, channel: "Sender") -> None:
        """Free the channel's number."""


class Sender:
    """The sending half of a channel.

    :ivar sending: where it stands.
    :ivar queue: what was written and waits for the peer's window or for the connection.
    :ivar queued: how many bytes that are.
    :ivar withheld: how many bytes were sent, but count as drained only when the socket took them.
    :ivar waiting: whether the channel waits for its turn to send.
    :ivar full_window: the largest that the peer's window was.
    """

    __slots__ = (
        "_connection",
        "full_window",
        "number",
        "queue",
        "queued",
        "remote_max_packet",
        "remote_number",
        "remote_window",
        "sending",
        "user",
        "waiting",
        "withheld",
    )

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self.number = number
        self.user: IChannelUser | None = None
        self.sending = Sending.REQUESTED
        self.remote_number = 0
        self.remote_window = self.full_window = 0
        self.remote_max_packet = 0
        self.waiting = False
        self.queued = 0
        self.queue: deque[bytes | bytearray | memoryview] = deque()
        self.withheld = 0

    def write(self, data: "bytes | memoryview") -> None:
        """Send bytes as window and backlog allow, queue the rest; drop the unwanted."""
        if self.sending is not _SENDS:
            assert self.sending not in EOF_FOLLOWS, "written after EOF"
            return
        if self.queue:
            self._enqueue(data)
            return
        sent = self._send_now(data)
        if sent < len(data):
            self._enqueue(memoryview(data)[sent:] if sent else data)
        if sent:
            self._passed_on(sent)

    def send_eof(self) -> None:
        """Send EOF after all that was written; without effect the second time."""
        if self.sending is Sending.OPEN:
            self.sending = Sending.ENDING
            self.finish_sending()

    def write_error(self, line: bytes) -> None:
        """Send a short line as standard error, past the queue; drop what has no room at once."""
        if self.sending is not _SENDS:
            return
        line = line[: min(self.remote_window, self.remote_max_packet)]
        if line:
            self.remote_window -= len(line)
            self._connection.send(
                ChannelExtendedData(self.remote_number, EXTENDED_DATA_STDERR, line).encode()
            )

    def send_request(self, request_type: bytes, data: bytes = b"") -> None:
        """Send a CHANNEL_REQUEST that wants no reply."""
        if self.sending is Sending.OPEN or self.sending in EOF_FOLLOWS:
            request = ChannelRequest(self.remote_number, request_type, False, data)
            self._connection.send(request.encode())

    # What the multiplexer calls.

    def set_remote(self, number: int, window_size: int, max_packet_size: int) -> None:
        """Remember what the peer said when it opened or confirmed."""
        self.remote_number = number
        self.remote_window = self.full_window = window_size
        self.remote_max_packet = max_packet_size

    def add_credit(self, count: int) -> bool:
        """Add the peer's credit; return whether any of it is for bytes that were sent.

        :raise ProtocolError: it grants more than a window may have.
        """
        is_due = count > 0 and self.remote_window < self.full_window
        self.remote_window += count
        if self.remote_window > self.full_window:
            if self.remote_window > UINT32_MAX:
                raise ProtocolError("a window beyond 2^32 - 1")
            self.full_window = self.remote_window
        if self.queue:
            self._connection.wait_turn(self)
        return is_due

    def send_queued(self) -> None:
        """Send at most one quantum of the queue, then wait for the next turn."""
        queue = self.queue
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
            self.finish_sending()
        if count:
            self._passed_on(count)

    def release_withheld(self) -> None:
        """Count as drained what the socket has taken now."""
        count, self.withheld = self.withheld, 0
        if count and self.user is not None:
            self.user.drained(count)

    # What the receiving half calls.

    def stop_sending(self) -> None:
        """The peer wants no more: drop the bytes not yet sent, and count them as drained."""
        if self.sending is not Sending.ENDED:
            self.sending = Sending.UNWANTED
        dropped = self.queued + self.withheld
        self.drop_queue()
        if dropped and self.user is not None:
            self.user.drained(dropped)

    def drop_queue(self) -> None:
        """Forget what waits."""
        self.queue.clear()
        self.queued = self.withheld = 0

    def finish_sending(self) -> None:
        """Send EOF, and CLOSE if it is to follow, unless something is queued."""
        if self.queue or self.sending not in (Sending.ENDING, Sending.CLOSING):
            return
        closing = self.sending is Sending.CLOSING
        self.sending = Sending.ENDED
        self._connection.send(ChannelEof(self.remote_number).encode())
        if closing and self.sending is Sending.ENDED:
            self.send_close(True, "")

    def send_close(self, clean: bool, reason: str) -> None:
        """Send CLOSE; the whole channel knows how."""
        raise NotImplementedError

    # Inner workings.

    def _enqueue(self, data: "bytes | memoryview") -> None:
        if self.sending is not _SENDS:
            return  # sending the bytes before these ended the connection
        size = len(data)
        tail = self.queue[-1] if self.queue else None
        if size >= _COALESCE:
            # Immutable bytes needn't be copied.
            keep = type(data) is memoryview and type(data.obj) is bytes
            self.queue.append(data if keep else bytes(data))
        elif type(tail) is bytearray and len(tail) < _COALESCE:
            tail += data
        else:
            self.queue.append(bytearray(data))
        self.queued += size
        if self.remote_window and not self.waiting:
            self._connection.wait_turn(self)

    def _send_now(self, data: "bytes | memoryview") -> int:
        """Send as many bytes as may go out before the queue; return their number."""
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
            if not self.withheld:
                self._connection.withhold(self)
            self.withheld += count
        elif self.user is not None:
            self.user.drained(count)

"""Two multiplexers joined in memory, message by message, as slowly as a test wants."""

from collections import deque
from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from tunnelcloud.channels.channel import Channel
from tunnelcloud.channels.interfaces import IChannelUser, IConnectionUser, IMessageTransport
from tunnelcloud.channels.multiplexer import Multiplexer
from tunnelcloud.channels.windows import CreditBudget


def stream(start: int, size: int) -> bytes:
    """Return bytes that tell their own position in a stream, exactly."""
    words = range(start // 8, (start + size) // 8 + 1)
    whole = b"".join(word.to_bytes(8, "big") for word in words)
    return whole[start % 8 : start % 8 + size]


@implementer(IMessageTransport)
class Wire:
    """One direction of a connection: holds messages until they are delivered."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.messages: deque[bytes] = deque()
        self.unsent = 0
        self.ended = ""
        self.multiplexer: Multiplexer
        self.other: Wire

    def send_message(self, head: bytes, data: bytes | memoryview = b"") -> None:
        message = head + bytes(data)
        self.messages.append(message)
        self.unsent += len(message)
        if self.unsent > self.limit and not self.multiplexer.paused:
            self.multiplexer.pause_sending()

    def end_connection(self, reason_code: int, description: str) -> None:
        self.ended = self.ended or description

    def deliver(self) -> bool:
        """Carry one message over; return whether there was one."""
        if not self.messages:
            return False
        message = self.messages.popleft()
        self.unsent -= len(message)
        self.other.multiplexer.message_received(message)
        if not self.messages and self.multiplexer.paused:
            self.multiplexer.resume_sending()
        return True


@implementer(IConnectionUser)
class Opens:
    """Keeps what the peer asks for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Channel, bytes, bytes]] = []
        self.on_open: Callable[[Channel], None] | None = None
        self.requests: list[tuple[bytes, bytes]] = []

    def channel_open_requested(self, channel: Any, channel_type: bytes, data: bytes) -> None:
        self.asked.append((channel, channel_type, data))
        if self.on_open is not None:
            self.on_open(channel)

    def global_request_received(self, name: bytes, data: bytes) -> bytes | None:
        self.requests.append((name, data))
        return data if name == b"echo" else None


class Pair:
    """Two multiplexers, ``a`` and ``b``, and the wires between them."""

    def __init__(self, limit: int = 128 * 1024, budget: int = 1 << 29, **options: int) -> None:
        self.budgets = CreditBudget(budget), CreditBudget(budget)
        self.users = Opens(), Opens()
        self.wires = Wire(limit), Wire(limit)
        self.accounts = tuple(budget.account() for budget in self.budgets)
        ends = zip(self.wires, self.users, self.accounts, strict=True)
        self.a, self.b = (
            Multiplexer(wire, user, account=account, **options) for wire, user, account in ends
        )
        self.wires[0].multiplexer, self.wires[1].multiplexer = self.a, self.b
        self.wires[0].other, self.wires[1].other = self.wires[1], self.wires[0]

    def settle(self) -> None:
        """Deliver all there is, and all that comes of it."""
        while self.wires[0].deliver() or self.wires[1].deliver():
            pass

    def lose(self, reason: str = "the wire broke") -> None:
        """End the connection under both."""
        for wire in self.wires:
            wire.messages.clear()
        self.a.connection_lost(reason)
        self.b.connection_lost(reason)


@implementer(IChannelUser)
class End:
    """One end of a stream: writes position-coded bytes, and checks those that arrive."""

    def __init__(self) -> None:
        self.channel: Channel
        self.client: End = self  # whose wish the stream was, for tests that care
        self.written = self.drained_bytes = 0
        self.received = self.held = 0
        self.is_open = False
        self.eof_sent = self.eof_seen = self.close_seen = False
        self.failure: tuple[int, str] | None = None
        self.end: tuple[bool, str] | None = None
        self.requests: list[tuple[bytes, bytes]] = []
        self.eager = False
        self.is_target = False  # such as a connector's, which takes a pod's CLOSE for a cut

    def write(self, size: int) -> None:
        self.written += size
        self.channel.write(memoryview(bytearray(stream(self.written - size, size))))

    def close(self) -> int:
        """Send CLOSE; tell how many bytes left before it."""
        sent = self.written - self.channel.queued
        self.channel.close("enough")
        return sent

    def send_eof(self) -> None:
        self.eof_sent = True
        self.channel.send_eof()

    def consume(self, count: int) -> None:
        count = min(count, self.held)
        self.held -= count
        self.channel.consumed(count)

    def opened(self) -> None:
        assert not self.is_open
        self.is_open = True

    def open_failed(self, reason_code: int, description: str) -> None:
        assert self.failure is None
        assert self.end is None
        self.failure = (reason_code, description)

    def data_received(self, data: memoryview) -> None:
        assert self.end is None
        assert not self.eof_seen
        assert bytes(data) == stream(self.received, len(data)), "lost, doubled or out of order"
        self.received += len(data)
        self.held += len(data)
        if self.eager:
            self.consume(len(data))

    def eof_received(self) -> None:
        assert not self.eof_seen
        assert self.end is None
        self.eof_seen = True

    def peer_closed(self) -> None:
        assert not self.close_seen
        assert self.end is None
        self.close_seen = True
        if self.is_target:
            self.channel.close("closed by the peer")

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        self.requests.append((request_type, data))
        return request_type == b"yes"

    def drained(self, count: int) -> None:
        assert self.end is None
        assert count > 0
        self.drained_bytes += count
        assert self.drained_bytes <= self.written

    def closed(self, clean: bool, reason: str) -> None:
        assert self.end is None
        assert self.failure is None
        assert clean == (reason == "")
        self.end = (clean, reason)


def join(pair: Pair) -> tuple[End, End]:
    """Open a channel from ``a`` to ``b``."""
    near, far = End(), End()
    near.channel = pair.a.open_channel(b"direct-tcpip", b"", near)
    pair.settle()
    far.channel = pair.users[1].asked[-1][0]
    far.channel.user = far
    far.channel.confirm()
    far.is_open = True
    pair.settle()
    assert near.is_open
    return near, far

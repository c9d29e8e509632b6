"""Frames of a link: a uint32 length, then one message of the connection protocol.

What holds: a message is handed on only when it is there in full, and at most once; a whole frame
inside one read is handed on without being copied; what is kept between reads is less than one
frame, and each of its bytes was copied once.

This module knows bytes only.
"""

import struct
from collections.abc import Callable, Iterator

from tunnelcloud.channels.messages import ProtocolError
from tunnelcloud.net.shared_buffers import BufferPool

MAX_FRAME = 256 * 1024
"""The longest message a frame may hold, in bytes."""

_HEAD = 4
_CHANNEL = 5
"""How many bytes of CHANNEL_DATA come before the length: the message's number and the channel's."""

_unpack_length = struct.Struct(">I").unpack_from
_pack_length_into = struct.Struct(">I").pack_into


class FrameReader:
    """Cuts a stream of bytes into messages.

    :ivar enough: may be set by who takes the messages: no more is to be read of this read.
    :ivar rest: the bytes that weren't read then.
    """

    __slots__ = ("_partial", "enough", "rest")

    def __init__(self) -> None:
        self._partial = bytearray()
        self.enough = False
        self.rest = b""

    @property
    def kept(self) -> int:
        """How many bytes of an unfinished frame are kept."""
        return len(self._partial)

    def feed(self, data: "bytes | bytearray | memoryview") -> Iterator[memoryview]:
        """Take the bytes of one read; yield the messages that they complete.

        A message is valid until the next is asked for.  Where ``enough`` is set, ``rest`` is to be
        fed again later.

        :raise ProtocolError: a frame is empty or longer than ``MAX_FRAME``.
        """
        view = memoryview(data)
        offset = 0
        self.rest = b""
        self.enough = False
        if self._partial:
            offset = self._complete(view)
            if offset < 0:
                return
            partial, self._partial = self._partial, bytearray()
            yield memoryview(partial)[_HEAD:]
        end = len(view)
        while end - offset >= _HEAD:
            if self.enough:
                self.rest = bytes(view[offset:])
                return
            after = offset + _HEAD + _checked_length(view, offset)
            if after > end:
                break
            yield view[offset + _HEAD : after]
            offset = after
        if offset < end:
            self._partial += view[offset:]

    def _complete(self, view: memoryview) -> int:
        """Add what the unfinished frame lacks; return where the next starts, or -1."""
        partial = self._partial
        taken = 0
        if len(partial) < _HEAD:
            taken = min(_HEAD - len(partial), len(view))
            partial += view[:taken]
            if len(partial) < _HEAD:
                return -1
        missing = _HEAD + _checked_length(partial, 0) - len(partial)
        if len(view) - taken < missing:
            partial += view[taken:]
            return -1
        partial += view[taken : taken + missing]
        return taken + missing


def _checked_length(data: "bytearray | memoryview", offset: int) -> int:
    length: int = _unpack_length(data, offset)[0]
    if not 0 < length <= MAX_FRAME:
        raise ProtocolError(f"a frame of {length} bytes")
    return length


_buffers = BufferPool(lambda: memoryview(bytearray(_HEAD + MAX_FRAME)))


class FrameBuffer:
    """Gathers frames, so that all messages of one read leave in one write.

    Consecutive data messages of one channel become one message: the peer has fewer messages to
    read, and its target gets the bytes at once.

    :ivar size: how many bytes wait.
    """

    __slots__ = ("_data_size", "_last", "_last_start", "_view", "size")

    def __init__(self) -> None:
        self._view: memoryview | None = None
        self.size = 0
        self._last = b""  # type and channel of the last message, if it has data
        self._last_start = 0
        self._data_size = 0

    def append(self, head: bytes, data: "bytes | memoryview", max_packet_size: int) -> bool:
        """Add a message, ``head`` followed by ``data``; both are copied.

        :param head: all of a message without data, or the head of CHANNEL_DATA (RFC 4254, 5.2).
        :param max_packet_size: the most data that messages may be joined to.
        :return: False when it doesn't fit into the buffer now.
        :raise ValueError: it doesn't fit at all.
        """
        start = self.size
        count = len(data)
        if count and self._last == head[:_CHANNEL]:
            joined = self._data_size + count
            if joined <= max_packet_size and start + count <= _HEAD + MAX_FRAME:
                return self._join(data, joined)
        body = start + _HEAD + len(head)
        end = body + count
        if end > _HEAD + MAX_FRAME:
            if not start:
                raise ValueError("the message is too long for a frame")
            return False
        view = self._view
        if view is None:
            view = self._view = _buffers.take()
        _pack_length_into(view, start, end - start - _HEAD)
        view[start + _HEAD : body] = head
        if count:
            view[body:end] = data
            self._last = head[:_CHANNEL]
            self._last_start = start
            self._data_size = count
        else:
            self._last = b""
        self.size = end
        return True

    def _join(self, data: "bytes | memoryview", joined: int) -> bool:
        view = self._view
        assert view is not None
        start = self._last_start
        end = self.size + len(data)
        view[self.size : end] = data
        _pack_length_into(view, start, end - start - _HEAD)
        _pack_length_into(view, start + _HEAD + _CHANNEL, joined)
        self._data_size = joined
        self.size = end
        return True

    def write_to(self, write: Callable[[memoryview], object]) -> None:
        """Hand all that waits to ``write``, which may not keep it."""
        view, self._view = self._view, None
        size, self.size = self.size, 0
        self._last = b""
        if view is not None:
            write(view[:size])
            _buffers.give_back(view)

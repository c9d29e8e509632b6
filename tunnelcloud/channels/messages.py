"""The connection protocol's messages (RFC 4254) as values, and their bytes.

Decoding is strict: a field that runs past the end, or a byte too many, is a ``ProtocolError``.
Nothing here knows which message may come when.
"""

import struct
from collections.abc import Callable
from typing import Any, ClassVar, Self, get_args

from attrs import fields, frozen

MSG_GLOBAL_REQUEST = 80
MSG_REQUEST_SUCCESS = 81
MSG_REQUEST_FAILURE = 82
MSG_CHANNEL_OPEN = 90
MSG_CHANNEL_OPEN_CONFIRMATION = 91
MSG_CHANNEL_OPEN_FAILURE = 92
MSG_CHANNEL_WINDOW_ADJUST = 93
MSG_CHANNEL_DATA = 94
MSG_CHANNEL_EXTENDED_DATA = 95
MSG_CHANNEL_EOF = 96
MSG_CHANNEL_CLOSE = 97
MSG_CHANNEL_REQUEST = 98
MSG_CHANNEL_SUCCESS = 99
MSG_CHANNEL_FAILURE = 100

EXTENDED_DATA_STDERR = 1

OPEN_ADMINISTRATIVELY_PROHIBITED = 1
OPEN_CONNECT_FAILED = 2
OPEN_UNKNOWN_CHANNEL_TYPE = 3
OPEN_RESOURCE_SHORTAGE = 4

DISCONNECT_PROTOCOL_ERROR = 2

UINT32_MAX = 2**32 - 1

SHARES = {
    MSG_GLOBAL_REQUEST: 4,
    MSG_CHANNEL_OPEN: 32,
    MSG_CHANNEL_OPEN_CONFIRMATION: 16,
    MSG_CHANNEL_OPEN_FAILURE: 16,
    MSG_CHANNEL_EOF: 4,
    MSG_CHANNEL_CLOSE: 16,
    MSG_CHANNEL_REQUEST: 16,
}
"""As how many messages of one turn of the reactor a message counts, if not as one: an open may have
a destination to be looked up, a request a command to be read, and an end is written down."""

_UINT32 = struct.Struct(">I")


class ProtocolError(Exception):
    """The peer broke the connection protocol; the connection can't go on."""


class Reader:
    """Takes fields (RFC 4251, section 5) off the front of a message.

    :raise ProtocolError: from every method, when the field isn't there in full.
    """

    __slots__ = ("_data", "_offset")

    def __init__(self, data: "bytes | memoryview", offset: int = 0) -> None:
        self._data = bytes(data)
        self._offset = offset

    def _take(self, count: int) -> bytes:
        end = self._offset + count
        if end > len(self._data):
            raise ProtocolError("a message ends inside a field")
        taken = self._data[self._offset : end]
        self._offset = end
        return taken

    def boolean(self) -> bool:
        """Take a boolean: any value but zero is true."""
        return self._take(1) != b"\0"

    def uint32(self) -> int:
        """Take an unsigned 32-bit number."""
        try:
            value: int = _UINT32.unpack_from(self._data, self._offset)[0]
        except struct.error:
            raise ProtocolError("a message ends inside a field") from None
        self._offset += 4
        return value

    def string(self) -> bytes:
        """Take a string of bytes with its length in front."""
        return self._take(self.uint32())

    def rest(self) -> bytes:
        """Take all that is left."""
        return self._take(len(self._data) - self._offset)

    def end(self) -> None:
        """Check that nothing is left."""
        if self._offset != len(self._data):
            raise ProtocolError("a message is longer than its fields")


def pack_string(value: bytes) -> bytes:
    """Return a string as it stands on the wire (RFC 4251, section 5)."""
    return _UINT32.pack(len(value)) + value


_Field = tuple[Callable[[Any], bytes], Callable[[Reader], Any]]

_UINT: _Field = _UINT32.pack, Reader.uint32
_STRING: _Field = pack_string, Reader.string
_FLAG: _Field = (lambda value: b"\1" if value else b"\0"), Reader.boolean
_REST: _Field = bytes, Reader.rest


class _Fields:
    """A value whose attributes are fields on the wire, in their order.

    :ivar number: the message's, which comes first; 0 for a part of a message.
    :ivar layout: how each attribute is packed, and how it is read.
    """

    __slots__ = ()
    layout: ClassVar[tuple[_Field, ...]]
    number: ClassVar[int] = 0
    _head: ClassVar[bytes]
    _packed: ClassVar[list[tuple[str, Callable[[Any], bytes]]]]
    _read: ClassVar[list[Callable[[Reader], Any]]]

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        cls._head = bytes((cls.number,)) if cls.number else b""
        names = [one.name for one in fields(cls)]  # type: ignore[arg-type]
        cls._packed = [(name, pack) for name, (pack, _) in zip(names, cls.layout, strict=True)]
        cls._read = [read for _, read in cls.layout]

    def encode(self) -> bytes:
        """Return the bytes."""
        return self._head + b"".join([pack(getattr(self, name)) for name, pack in self._packed])

    @classmethod
    def decode(cls, data: "bytes | memoryview", offset: int = 0) -> Self:
        """Read the fields from an offset to the end.

        :raise ProtocolError: a field is cut short, or bytes are left over.
        """
        reader = Reader(data, offset)
        value = cls(*[read(reader) for read in cls._read])
        reader.end()
        return value


@frozen
class GlobalRequest(_Fields):
    """A request about the connection as a whole (RFC 4254, section 4)."""

    number = MSG_GLOBAL_REQUEST
    layout = (_STRING, _FLAG, _REST)
    name: bytes
    want_reply: bool
    data: bytes = b""


@frozen
class RequestSuccess(_Fields):
    """A good answer to the oldest unanswered global request."""

    number = MSG_REQUEST_SUCCESS
    layout = (_REST,)
    data: bytes = b""


@frozen
class RequestFailure(_Fields):
    """A refusal of the oldest unanswered global request."""

    number = MSG_REQUEST_FAILURE
    layout = ()


@frozen
class ChannelOpen(_Fields):
    """A wish for a channel (RFC 4254, 5.1); ``data`` is specific to the type."""

    number = MSG_CHANNEL_OPEN
    layout = (_STRING, _UINT, _UINT, _UINT, _REST)
    channel_type: bytes
    sender_channel: int
    window_size: int
    max_packet_size: int
    data: bytes = b""


@frozen
class ChannelOpenConfirmation(_Fields):
    """The answer that a channel is open (RFC 4254, 5.1)."""

    number = MSG_CHANNEL_OPEN_CONFIRMATION
    layout = (_UINT, _UINT, _UINT, _UINT, _REST)
    recipient_channel: int
    sender_channel: int
    window_size: int
    max_packet_size: int
    data: bytes = b""


@frozen
class ChannelOpenFailure(_Fields):
    """The answer that a channel can't be opened, and why (RFC 4254, 5.1)."""

    number = MSG_CHANNEL_OPEN_FAILURE
    layout = (_UINT, _UINT, _STRING, _STRING)
    recipient_channel: int
    reason_code: int
    description: bytes
    language: bytes = b""


@frozen
class ChannelWindowAdjust(_Fields):
    """Credit for more bytes (RFC 4254, 5.2)."""

    number = MSG_CHANNEL_WINDOW_ADJUST
    layout = (_UINT, _UINT)
    recipient_channel: int
    bytes_to_add: int


@frozen
class ChannelData(_Fields):
    """Bytes of a channel (RFC 4254, 5.2)."""

    number = MSG_CHANNEL_DATA
    layout = (_UINT, _STRING)
    recipient_channel: int
    data: bytes


@frozen
class ChannelExtendedData(_Fields):
    """Bytes of a channel's second stream, such as stderr (RFC 4254, 5.2)."""

    number = MSG_CHANNEL_EXTENDED_DATA
    layout = (_UINT, _UINT, _STRING)
    recipient_channel: int
    data_type: int
    data: bytes


@frozen
class _ChannelSignal(_Fields):
    """A message that only names a channel."""

    layout = (_UINT,)
    recipient_channel: int


@frozen
class ChannelEof(_ChannelSignal):
    """The sender will send no more bytes (RFC 4254, 5.3)."""

    number = MSG_CHANNEL_EOF


@frozen
class ChannelClose(_ChannelSignal):
    """The sender is done with the channel (RFC 4254, 5.3)."""

    number = MSG_CHANNEL_CLOSE


@frozen
class ChannelSuccess(_ChannelSignal):
    """A channel request was granted (RFC 4254, 5.4)."""

    number = MSG_CHANNEL_SUCCESS


@frozen
class ChannelFailure(_ChannelSignal):
    """A channel request was not granted (RFC 4254, 5.4)."""

    number = MSG_CHANNEL_FAILURE


@frozen
class ChannelRequest(_Fields):
    """A request specific to one channel (RFC 4254, 5.4)."""

    number = MSG_CHANNEL_REQUEST
    layout = (_UINT, _STRING, _FLAG, _REST)
    recipient_channel: int
    request_type: bytes
    want_reply: bool
    data: bytes = b""


Message = (
    GlobalRequest
    | RequestSuccess
    | RequestFailure
    | ChannelOpen
    | ChannelOpenConfirmation
    | ChannelOpenFailure
    | ChannelWindowAdjust
    | ChannelData
    | ChannelExtendedData
    | ChannelEof
    | ChannelClose
    | ChannelRequest
    | ChannelSuccess
    | ChannelFailure
)

_TYPES: dict[int, type[Message]] = {kind.number: kind for kind in get_args(Message)}


def decode(payload: "bytes | memoryview") -> Message:
    """Decode one message; its first byte is the message number.

    :raise ProtocolError: an unknown number, a field cut short, or bytes left over.
    """
    if not len(payload):
        raise ProtocolError("an empty message")
    message_type = _TYPES.get(payload[0])
    if message_type is None:
        raise ProtocolError(f"message {payload[0]} is not of the connection protocol")
    return message_type.decode(payload, 1)


@frozen
class DirectTcpip(_Fields):
    """The destination of a ``direct-tcpip`` channel (RFC 4254, 7.2), as the peer wrote it."""

    layout = (_STRING, _UINT, _STRING, _UINT)
    host: bytes
    port: int
    originator_host: bytes = b""
    originator_port: int = 0

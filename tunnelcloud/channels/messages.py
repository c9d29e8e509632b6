"""The connection protocol's messages (RFC 4254) as values, and their bytes.

Decoding is strict: a field that runs past the end, or a byte too many, is a ``ProtocolError``.
Nothing here knows which message may come when.
"""

import struct
from typing import ClassVar, Self

from attrs import frozen

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


@frozen
class GlobalRequest:
    """A request about the connection as a whole (RFC 4254, section 4)."""

    number: ClassVar[int] = MSG_GLOBAL_REQUEST
    name: bytes
    want_reply: bool
    data: bytes = b""

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return b"P" + pack_string(self.name) + (b"\1" if self.want_reply else b"\0") + self.data

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls(reader.string(), reader.boolean(), reader.rest())


@frozen
class RequestSuccess:
    """A good answer to the oldest unanswered global request."""

    number: ClassVar[int] = MSG_REQUEST_SUCCESS
    data: bytes = b""

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return b"Q" + self.data

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls(reader.rest())


@frozen
class RequestFailure:
    """A refusal of the oldest unanswered global request."""

    number: ClassVar[int] = MSG_REQUEST_FAILURE

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return b"R"

    @classmethod
    def read(cls, _reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls()


@frozen
class ChannelOpen:
    """A wish for a channel (RFC 4254, 5.1); ``data`` is what is specific to the type."""

    number: ClassVar[int] = MSG_CHANNEL_OPEN
    channel_type: bytes
    sender_channel: int
    window_size: int
    max_packet_size: int
    data: bytes = b""

    def encode(self) -> bytes:
        """Return the message's bytes."""
        numbers = (self.sender_channel, self.window_size, self.max_packet_size)
        return b"Z" + pack_string(self.channel_type) + struct.pack(">III", *numbers) + self.data

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls(
            reader.string(), reader.uint32(), reader.uint32(), reader.uint32(), reader.rest()
        )


@frozen
class ChannelOpenConfirmation:
    """The answer that a channel is open (RFC 4254, 5.1)."""

    number: ClassVar[int] = MSG_CHANNEL_OPEN_CONFIRMATION
    recipient_channel: int
    sender_channel: int
    window_size: int
    max_packet_size: int
    data: bytes = b""

    def encode(self) -> bytes:
        """Return the message's bytes."""
        numbers = (
            self.recipient_channel,
            self.sender_channel,
            self.window_size,
            self.max_packet_size,
        )
        return struct.pack(">BIIII", self.number, *numbers) + self.data

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls(
            reader.uint32(), reader.uint32(), reader.uint32(), reader.uint32(), reader.rest()
        )


@frozen
class ChannelOpenFailure:
    """The answer that a channel can't be had, and why (RFC 4254, 5.1)."""

    number: ClassVar[int] = MSG_CHANNEL_OPEN_FAILURE
    recipient_channel: int
    reason_code: int
    description: bytes
    language: bytes = b""

    def encode(self) -> bytes:
        """Return the message's bytes."""
        head = struct.pack(">BII", self.number, self.recipient_channel, self.reason_code)
        return head + pack_string(self.description) + pack_string(self.language)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls(reader.uint32(), reader.uint32(), reader.string(), reader.string())


@frozen
class ChannelWindowAdjust:
    """Credit for more bytes (RFC 4254, 5.2)."""

    number: ClassVar[int] = MSG_CHANNEL_WINDOW_ADJUST
    recipient_channel: int
    bytes_to_add: int

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return struct.pack(">BII", self.number, self.recipient_channel, self.bytes_to_add)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls(reader.uint32(), reader.uint32())


@frozen
class ChannelData:
    """Bytes of a channel (RFC 4254, 5.2)."""

    number: ClassVar[int] = MSG_CHANNEL_DATA
    recipient_channel: int
    data: bytes

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return struct.pack(">BI", self.number, self.recipient_channel) + pack_string(self.data)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls(reader.uint32(), reader.string())


@frozen
class ChannelExtendedData:
    """Bytes of a channel's second stream, such as stderr (RFC 4254, 5.2)."""

    number: ClassVar[int] = MSG_CHANNEL_EXTENDED_DATA
    recipient_channel: int
    data_type: int
    data: bytes

    def encode(self) -> bytes:
        """Return the message's bytes."""
        head = struct.pack(">BII", self.number, self.recipient_channel, self.data_type)
        return head + pack_string(self.data)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls(reader.uint32(), reader.uint32(), reader.string())


@frozen
class _ChannelSignal:
    """A message that names a channel and says no more."""

    number: ClassVar[int]
    recipient_channel: int

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return struct.pack(">BI", self.number, self.recipient_channel)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls(reader.uint32())


@frozen
class ChannelEof(_ChannelSignal):
    """The sender will send no more bytes (RFC 4254, 5.3)."""

    number: ClassVar[int] = MSG_CHANNEL_EOF


@frozen
class ChannelClose(_ChannelSignal):
    """The sender is done with the channel (RFC 4254, 5.3)."""

    number: ClassVar[int] = MSG_CHANNEL_CLOSE


@frozen
class ChannelSuccess(_ChannelSignal):
    """A channel request was granted (RFC 4254, 5.4)."""

    number: ClassVar[int] = MSG_CHANNEL_SUCCESS


@frozen
class ChannelFailure(_ChannelSignal):
    """A channel request was not granted (RFC 4254, 5.4)."""

    number: ClassVar[int] = MSG_CHANNEL_FAILURE


@frozen
class ChannelRequest:
    """A request specific to one channel (RFC 4254, 5.4)."""

    number: ClassVar[int] = MSG_CHANNEL_REQUEST
    recipient_channel: int
    request_type: bytes
    want_reply: bool
    data: bytes = b""

    def encode(self) -> bytes:
        """Return the message's bytes."""
        head = struct.pack(">BI", self.number, self.recipient_channel)
        flag = b"\1" if self.want_reply else b"\0"
        return head + pack_string(self.request_type) + flag + self.data

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what follows the message number."""
        return cls(reader.uint32(), reader.string(), reader.boolean(), reader.rest())


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

_TYPES: dict[int, type[Message]] = {
    message_type.number: message_type
    for message_type in (
        GlobalRequest,
        RequestSuccess,
        RequestFailure,
        ChannelOpen,
        ChannelOpenConfirmation,
        ChannelOpenFailure,
        ChannelWindowAdjust,
        ChannelData,
        ChannelExtendedData,
        ChannelEof,
        ChannelClose,
        ChannelRequest,
        ChannelSuccess,
        ChannelFailure,
    )
}


def decode(payload: "bytes | memoryview") -> Message:
    """Decode one message; its first byte is the message number.

    :raise ProtocolError: an unknown number, a field cut short, or bytes left over.
    """
    if not len(payload):
        raise ProtocolError("an empty message")
    message_type = _TYPES.get(payload[0])
    if message_type is None:
        raise ProtocolError(f"message {payload[0]} is not of the connection protocol")
    reader = Reader(payload, 1)
    message = message_type.read(reader)
    reader.end()
    return message


@frozen
class DirectTcpip:
    """What a ``direct-tcpip`` channel is wanted for (RFC 4254, 7.2), as the peer wrote it."""

    host: bytes
    port: int
    originator_host: bytes = b""
    originator_port: int = 0

    def encode(self) -> bytes:
        """Return the bytes that follow a CHANNEL_OPEN's common fields."""
        return (
            pack_string(self.host)
            + _UINT32.pack(self.port)
            + pack_string(self.originator_host)
            + _UINT32.pack(self.originator_port)
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the type-specific part of a CHANNEL_OPEN.

        :raise ProtocolError: a field is cut short, or bytes are left over.
        """
        reader = Reader(data)
        request = cls(reader.string(), reader.uint32(), reader.string(), reader.uint32())
        reader.end()
        return request

"""From the bytes a socket gives to the payloads of packets (RFC 4253, 6).

Packets are read in place: a read is copied only if it ends inside a packet, and then only once,
however small the pieces of the rest are.  The reader knows no message and no state. Conch's faults
closed here: it copies all remaining bytes for every packet, stops at an empty payload, and
subtracts a padding that it hasn't checked.
"""

from twisted.conch.ssh.transport import DISCONNECT_MAC_ERROR, DISCONNECT_PROTOCOL_ERROR

from tunnelcloud.ssh.packet_sealing import BadPacket, Opener, PlainOpener

LARGEST_BEFORE_LOGIN = 35_000
LARGEST_PACKET = 256 * 1024
_SMALLEST_PADDING = 4


class WireError(Exception):
    """The peer broke the transport protocol; the connection ends.

    :ivar code: the reason code for DISCONNECT (RFC 4253, 11.1).
    :ivar text: the reason in words.
    """

    def __init__(self, text: str, code: int = DISCONNECT_PROTOCOL_ERROR) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class PacketReader:
    """Takes bytes, gives payloads.

    :ivar opener: opens the packets; may be replaced between two of them, since NEWKEYS and what
        follows it may come in one read.
    :ivar largest: the most a packet's length may be, in bytes.
    """

    __slots__ = ("_buffer", "_coming", "_length", "_offset", "_taken", "largest", "opener")

    def __init__(self) -> None:
        self.opener: Opener = PlainOpener(0)
        self.largest = LARGEST_BEFORE_LOGIN
        self._buffer: bytes | bytearray = b""
        self._offset = 0
        self._coming = b""
        self._taken = 0
        self._length = -1

    def feed(self, data: bytes) -> None:
        """Take what a socket gave; call ``next`` until it gives None before feeding more."""
        buffer = self._buffer
        if self._offset == len(buffer):
            self._buffer = data
            self._offset = 0
            return
        # Copy only the bytes that the unfinished packet lacks.
        if isinstance(buffer, bytes):
            self._buffer = bytearray(memoryview(buffer)[self._offset :])
            self._offset = 0
        self._coming = data
        self._taken = 0

    def next(self) -> memoryview | None:
        """Give the next packet's payload, or None until more bytes came.

        :raise WireError: what came isn't a packet.
        """
        opener = self.opener
        if self._length < 0:
            if not self._has(4):
                return None
            self._length = length = opener.length(self._buffer, self._offset)
            if length > self.largest:
                raise WireError(f"a packet of {length} bytes")
            if (length + opener.uncounted) % opener.block_size or length < opener.block_size - 4:
                raise WireError(f"a packet of {length} bytes, which is no multiple of a block")
        size = 4 + self._length + opener.tag_size
        if not self._has(size):
            return None
        offset = self._offset
        try:
            plain = opener.open(memoryview(self._buffer)[offset : offset + size])
        except BadPacket:
            raise WireError("a packet is not authentic", DISCONNECT_MAC_ERROR) from None
        self._offset = offset + size
        self._length = -1
        end = len(plain) - plain[0]
        if plain[0] < _SMALLEST_PADDING or end < 2:
            raise WireError("a packet without payload, or with bad padding")
        return memoryview(plain)[1:end]

    def _has(self, size: int) -> bool:
        """Whether so many bytes are there, where the next packet starts."""
        available = len(self._buffer) - self._offset
        if available >= size:
            return True
        if self._coming:
            if not available:
                self._buffer, self._offset = self._coming, self._taken
                self._coming = b""
                return self._has(size)
            assert isinstance(self._buffer, bytearray)
            piece = memoryview(self._coming)[self._taken : self._taken + size - available]
            self._buffer += piece
            self._taken += len(piece)
            if self._taken == len(self._coming):
                self._coming = b""
            return available + len(piece) == size
        if not available:
            self._buffer, self._offset = b"", 0  # let go of a read that is used up
        return False

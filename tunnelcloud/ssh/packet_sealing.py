"""Sealing and opening single packets (RFC 4253, 6): what all ciphers have in common.

A sealer turns a payload into the bytes of a packet, an opener turns them back; each belongs to one
direction and one set of keys and counts its packets.  Neither knows a connection.  A fault of
Conch closed here: it fails at the 2^32nd packet.
"""

import os
import struct
from typing import Protocol

Buffer = bytes | bytearray | memoryview
Pieces = tuple[bytes, ...]

LARGEST_OVERHEAD = 4 + 1 + 32 + 64
"""How much longer than its payload a packet is at most: length, padding, MAC."""

_pack_uint32 = struct.Struct(">I").pack
_PADDING_BYTE = tuple(bytes((size,)) for size in range(256))
_UINT32 = 0xFFFFFFFF


class BadPacket(Exception):
    """A packet isn't authentic."""


class Sealer(Protocol):
    """Makes packets.

    :ivar sequence: the number of packets sealed, from which RFC 4253, 6.4 counts.
    :ivar sealed: how many bytes they had.
    """

    sequence: int
    sealed: int

    def seal(self, head: bytes, data: Buffer) -> Pieces:
        """Make a packet of the payload ``head + data``; ``data`` is the caller's again after."""

    def seal_into(self, out: memoryview, offset: int, head: bytes, data: Buffer) -> int:
        """Write a packet into a buffer, ``LARGEST_OVERHEAD`` longer at most; return its end."""


class Opener(Protocol):
    """Opens packets.

    :ivar sequence: the number of packets opened.
    :ivar opened: how many bytes they had.
    :ivar tag_size: how many bytes follow what the packet's length counts.
    :ivar block_size: the length without ``uncounted`` bytes must be a multiple of this.
    """

    sequence: int
    opened: int
    tag_size: int
    block_size: int
    uncounted: int

    def length(self, buffer: Buffer, offset: int) -> int:
        """Read the packet's length from the four bytes at ``offset``; called once a packet."""

    def open(self, packet: memoryview) -> bytes:
        """Authenticate and decrypt all of a packet: its padding's size, payload and padding.

        :raise BadPacket: it isn't authentic.
        """


class SealerBase:
    """What all sealers share: counting, and the padding."""

    block_size = 16
    uncounted = 0

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.sealed = 0
        # Random bytes as RFC 4253 asks, but the same in every packet: what is encrypted and
        # authenticated gains nothing from fresh ones.
        self._padding = os.urandom(32)

    def seal(self, head: bytes, data: Buffer) -> Pieces:
        """See ``Sealer``."""
        raise NotImplementedError

    def seal_into(self, out: memoryview, offset: int, head: bytes, data: Buffer) -> int:
        """See ``Sealer``."""
        for piece in self.seal(head, data):
            end = offset + len(piece)
            out[offset:end] = piece
            offset = end
        return offset

    def framed(self, head: bytes, data: Buffer) -> tuple[bytes, bytes]:
        """Give the packet's length as four bytes, and what they count."""
        size = 1 + len(head) + len(data)
        padding = -(size + self.uncounted) % self.block_size
        if padding < 4:
            padding += self.block_size
        size += padding
        self.sequence = (self.sequence + 1) & _UINT32
        self.sealed += size
        return _pack_uint32(size), b"".join(
            (_PADDING_BYTE[padding], head, data, self._padding[:padding])
        )


class OpenerBase:
    """What all openers share: counting, and a length in the clear."""

    tag_size = 16
    block_size = 16
    uncounted = 0

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.opened = 0

    def length(self, buffer: Buffer, offset: int) -> int:
        """Read the length, which only chacha20-poly1305 encrypts."""
        return int.from_bytes(buffer[offset : offset + 4], "big")

    def count(self, packet: memoryview) -> None:
        """Count a packet that was opened."""
        self.sequence = (self.sequence + 1) & _UINT32
        self.opened += len(packet)


class PlainSealer(SealerBase):
    """Before the first NEWKEYS: nothing is encrypted."""

    block_size = 8
    uncounted = 4

    def seal(self, head: bytes, data: Buffer) -> Pieces:
        """See ``Sealer``."""
        return self.framed(head, data)


class PlainOpener(OpenerBase):
    """Before the first NEWKEYS: nothing is encrypted."""

    tag_size = 0
    block_size = 8
    uncounted = 4

    def open(self, packet: memoryview) -> bytes:
        """See ``Opener``."""
        self.count(packet)
        return bytes(packet[4:])

"""Counts the records of TLS in what a connection brings, without decrypting anything.

A record costs a few microseconds to decrypt and hand on, however small it is: a read with thousands
of records of one byte each holds the reactor up.
"""

from __future__ import annotations

_HEAD = 5
"""A record begins with its type, its version in two bytes, and its length in two."""


class RecordCounter:
    """Follows one connection's records over its reads."""

    __slots__ = ("_ahead", "_head")

    def __init__(self) -> None:
        self._head = b""  # the beginning of a head whose rest hasn't come
        self._ahead = 0  # how many bytes come before the next head

    def count(self, data: bytes | bytearray | memoryview) -> int:
        """Take the bytes of one read; tell how many records begin in it."""
        offset = self._ahead
        if self._head:
            data = self._head + bytes(data)
            self._head = b""
        end = len(data)
        count = 0
        while offset + _HEAD <= end:
            offset += _HEAD + (data[offset + 3] << 8 | data[offset + 4])
            count += 1
        if offset < end:
            self._head = bytes(data[offset:])
            offset = end
        self._ahead = offset - end
        return count

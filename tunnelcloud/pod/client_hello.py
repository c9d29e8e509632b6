"""The first message of a TLS client, read only to learn which protocols it offers; bytes in.

Nothing is verified here: the factory that gets the connection reads and verifies the same bytes
again. The reader takes a ClientHello in at most four records (RFC 8446, 5.1), so that reading it
again after each piece that arrives costs little.
"""

from __future__ import annotations

MAX_HELLO = 16 * 1024
"""How many bytes a ClientHello may have, record headers included."""

MOST_EXTENSIONS = 128
"""How many extensions a ClientHello may have: browsers send about twenty.  Each takes some
microseconds to read, and many clients may come in one turn of the reactor."""

MOST_PROTOCOLS = 32
"""How many protocols a client may offer: browsers offer two."""

_MAX_RECORDS = 4
_RECORD_HEADER = 5
_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_ALPN_EXTENSION = 16
_FIXED_FIELDS = 2 + 32  # the version and the random bytes


class NoHello(Exception):
    """The bytes aren't a ClientHello that this reader accepts."""


class _Fields:
    """Reads length-prefixed fields one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def skip(self, count: int) -> None:
        self.take(count)

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise NoHello("a field is longer than the message")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """Read a field behind its length of ``size`` bytes."""
        return self.take(self.number(size))


def offered_protocols(received: bytes) -> tuple[bytes, ...] | None:
    """Return the protocols that a TLS client offers by ALPN (RFC 7301), the most wanted first.

    :param received: the client's first bytes; the first byte is that of a handshake record.
    :return: None while the message isn't complete.
    :raise NoHello: it is no ClientHello, or a larger one than :data:`MAX_HELLO`, or has more
        extensions or protocols than clients send.
    """
    message = _handshake_message(received)
    if message is None:
        if len(received) >= MAX_HELLO:
            raise NoHello("the ClientHello is too long")
        return None
    hello = _Fields(message)
    hello.skip(_FIXED_FIELDS)
    for length_size in (1, 2, 1):  # session id, cipher suites, compression methods
        hello.vector(length_size)
    extensions = _Fields(hello.vector(2) if hello else b"")
    for _ in range(MOST_EXTENSIONS):
        if not extensions:
            return ()
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == _ALPN_EXTENSION:
            return _protocol_names(content)
    raise NoHello("there are too many extensions")


def _protocol_names(content: bytes) -> tuple[bytes, ...]:
    names = _Fields(_Fields(content).vector(2))
    found: list[bytes] = []
    while names:
        if len(found) == MOST_PROTOCOLS:
            raise NoHello("there are too many protocols")
        found.append(names.vector(1))
    return tuple(found)


def _handshake_message(received: bytes) -> bytes | None:
    """Join the records' contents, up to the end of the first handshake message."""
    joined = b""
    at = 0
    for _ in range(_MAX_RECORDS):
        header = received[at : at + _RECORD_HEADER]
        if (header and header[0] != _HANDSHAKE_RECORD) or header[1:2] not in (b"", b"\x03"):
            raise NoHello("it is no TLS handshake record")
        if len(header) < _RECORD_HEADER:
            return None
        length = int.from_bytes(header[3:], "big")
        at += _RECORD_HEADER
        if len(received) < at + length:
            return None
        joined += received[at : at + length]
        at += length
        if joined and joined[0] != _CLIENT_HELLO:
            raise NoHello("it is no ClientHello")
        end = 4 + int.from_bytes(joined[1:4], "big")
        if len(joined) >= 4 and len(joined) >= end:
            return joined[4:end]
    raise NoHello("the ClientHello is in too many records")

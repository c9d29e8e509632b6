"""PROXY protocol, versions 1 and 2: a balancer names its client.

Only connections from listed balancers are read this way; from anybody else such a header is a bad
identification line.  A balancer may also leave the header out (for a health check); then it is the
client itself.
"""

import ipaddress
import re
import struct

from attrs import frozen

from tunnelcloud.domain.addresses import canonical_address, is_address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIRST_VERSION = b"PROXY "
_LONGEST_LINE = 107
"""Of version 1, with CR and LF: the specification's own figure."""
_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: .*)?|TCP[46] (\S+) \S+ (\d{1,5}) \d{1,5})\r\n")
_LARGEST_PORT = 65535
_FIXED = 16
_LARGEST = 2048
_PROXY = 0x21
_LOCAL = 0x20
_ADDRESSES = {0x11: struct.Struct(">4s4sHH"), 0x21: struct.Struct(">16s16sHH")}


_BAD = "a bad PROXY header"


class BadProxyHeader(Exception):
    """The bytes begin like a PROXY header, but aren't a valid one."""


@frozen
class Address:
    """An IP address in canonical form and a port."""

    host: str
    port: int


class ProxyHeader:
    """Reads the header, if there is one, off the front of a connection.

    :ivar address: the client that the balancer names; None when it names nobody.
    """

    def __init__(self) -> None:
        self._received = b""
        self.address: Address | None = None

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; return what follows the header, or None until it is complete.

        :raise BadProxyHeader: it is a header, but a bad one.
        """
        received = self._received = self._received + data
        if received.startswith(_FIRST_VERSION[: len(received)]):
            return self._feed_line(received)
        if not received.startswith(SIGNATURE[: len(received)]):
            return received
        if len(received) < _FIXED:
            return None
        command, family, length = struct.unpack_from(">BBH", received, len(SIGNATURE))
        if command not in (_PROXY, _LOCAL) or length > _LARGEST:
            raise BadProxyHeader(_BAD)
        end = _FIXED + length
        if len(received) < end:
            return None
        layout = _ADDRESSES.get(family)
        if command == _PROXY and layout is not None:
            if length < layout.size:
                raise BadProxyHeader(_BAD)
            source, _, port, _ = layout.unpack_from(received, _FIXED)
            self.address = Address(canonical_address(str(ipaddress.ip_address(source))), port)
        return received[end:]

    def _feed_line(self, received: bytes) -> bytes | None:
        """Read version 1: one line of text."""
        head, ended, _ = received[:_LONGEST_LINE].partition(b"\n")
        if not ended and len(received) < _LONGEST_LINE:
            return None
        line = _LINE.fullmatch(head + ended)
        if line is None:
            raise BadProxyHeader(_BAD)
        if line[1] is not None:
            host, port = line[1].decode("ascii", "replace"), int(line[2])
            if not is_address(host) or port > _LARGEST_PORT:
                raise BadProxyHeader(_BAD)
            self.address = Address(canonical_address(host), port)
        return received[len(line[0]) :]

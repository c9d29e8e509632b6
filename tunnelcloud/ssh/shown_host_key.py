"""Asks an SSH server at an address for its host key, as ``ssh-keyscan`` does.

It blocks its thread, and logs nobody in.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

from attrs import define
from twisted.conch.error import ConchError
from twisted.conch.ssh.keys import BadKeyError
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.internet.defer import Deferred, succeed

from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.net.doctor_findings import ANSWER_SECONDS, NoAnswer, connected

_READ_BYTES = 16_384
_MOST_BYTES = 65_536
"""A key exchange is a few thousand."""

_UNREADABLE = (ConchError, BadKeyError, ValueError, LookupError, TypeError, struct.error)
"""What Conch raises for packets that make no sense."""


@define
class _Wire:
    """What of a transport Conch uses while keys are exchanged."""

    _socket: socket.socket
    is_lost: bool = False

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def loseConnection(self) -> None:
        self.is_lost = True


class _KeyAsker(SSHClientTransport):
    """Exchanges keys, and does no more.

    :ivar proven: the host key, once the server has signed the exchange with it; empty before.
    """

    supportedKeyExchanges = [b"curve25519-sha256", b"ecdh-sha2-nistp256"]
    supportedPublicKeys = [b"ssh-ed25519", b"rsa-sha2-512", b"rsa-sha2-256"]

    def __init__(self) -> None:
        self._claimed = self.proven = b""

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Deferred[bool]:
        self._claimed = hostKey
        return succeed(True)

    def _keySetup(self, sharedSecret: bytes, exchangeHash: bytes) -> None:
        # The signature was good. What would be encrypted by these keys isn't sent.
        self.proven = self._claimed


def shown_host_key(address: PublicAddress) -> bytes:
    """Give the host key by which the server at an address proves itself (RFC 4253, 6.6).

    :return: the key as it is on the wire.
    :raise NoAnswer: it can't be reached, doesn't speak SSH, or proves nothing.
    """
    with connected(address) as connection:
        asker: Any = _KeyAsker()
        wire = _Wire(connection)
        try:
            _exchange(asker, wire, connection)
        except OSError as error:
            raise NoAnswer(f"what answers at {address} shows no host key ({error})") from None
        except _UNREADABLE:
            raise NoAnswer(f"what answers at {address} doesn't speak SSH") from None
    if not asker.proven:
        raise NoAnswer(f"what answers at {address} doesn't prove its host key")
    return bytes(asker.proven)


def _exchange(asker: Any, wire: _Wire, connection: socket.socket) -> None:
    """Read until the server has proven its key or can't any more."""
    asker.transport = wire
    asker.connectionMade()
    ends, left = time.monotonic() + ANSWER_SECONDS, _MOST_BYTES
    while not asker.proven and not wire.is_lost and left > 0:
        connection.settimeout(max(0.001, ends - time.monotonic()))
        received = connection.recv(_READ_BYTES)
        if not received:
            return
        left -= len(received)
        asker.dataReceived(received)

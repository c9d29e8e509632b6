"""A client that says exactly what a test wants, over a wire in memory."""

import hashlib
import os
from collections.abc import Sequence

from attrs import define, evolve
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.conch.ssh.common import MP
from twisted.conch.ssh.keys import Key
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.ssh.fakes import TOKEN, USER_KEY, Pod
from tunnelcloud.channels.messages import Reader, pack_string
from tunnelcloud.ssh.algorithms import (
    CIPHERS,
    EXT_INFO_CLIENT,
    MACS,
    OLD_MACS,
    STRICT_CLIENT,
    Proposal,
    negotiate,
    read_proposal,
)
from tunnelcloud.ssh.ciphers import make_opener, make_sealer
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.ssh.packet_sealing import PlainSealer, Sealer
from tunnelcloud.ssh.packets import LARGEST_PACKET, PacketReader
from tunnelcloud.ssh.signatures import signed_data
from tunnelcloud.ssh.transport import FrontDoorTransport

IDENTIFICATION = b"SSH-2.0-test"
PROPOSAL = Proposal(
    (b"curve25519-sha256", EXT_INFO_CLIENT, STRICT_CLIENT),
    (b"ssh-ed25519",),
    (b"aes128-gcm@openssh.com",),
    (b"aes128-gcm@openssh.com",),
    MACS,
    MACS,
)


class Socket(StringTransport):
    """A socket whose far end may stop reading, and which knows how it was closed."""

    aborted = False

    def __init__(self, peer: str, port: int = 4000) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", peer, port))

    def resumeProducing(self) -> None:
        """As a real socket's does nothing that is about to be closed."""
        if not self.disconnecting:
            super().resumeProducing()

    def loseWriteConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()


@define
class Keys:
    """Which algorithms a client insists on."""

    cipher: bytes = b"aes128-gcm@openssh.com"
    mac: bytes = MACS[0]
    strict: bool = True
    extensions: bool = True

    def proposal(self) -> Proposal:
        signals = (EXT_INFO_CLIENT,) * self.extensions + (STRICT_CLIENT,) * self.strict
        return evolve(
            PROPOSAL,
            key_exchanges=(b"curve25519-sha256", *signals),
            ciphers_in=(self.cipher,),
            ciphers_out=(self.cipher,),
            macs_in=(self.mac,),
            macs_out=(self.mac,),
        )


class Client:
    """One connection to a front door, and the client's end of its encryption.

    :ivar received: payloads that came and weren't taken yet, each with its message number.
    """

    def __init__(
        self,
        pod: Pod | None = None,
        keys: Keys | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        peer: str = "192.0.2.7",
    ) -> None:
        self.clock = clock or (Clock() if pod is None else pod.clock)
        self.pod = pod or Pod(self.clock, limits)
        self.keys = keys or Keys()
        self.server = FrontDoorTransport(self.pod.factory)
        self.socket = Socket(peer)
        self.reader = PacketReader()
        self.reader.largest = LARGEST_PACKET
        self.sealer: Sealer = PlainSealer(0)
        self.received: list[bytes] = []
        self.session_id = b""
        self.host_key = b""
        self.identification = IDENTIFICATION
        self.lost = False
        self.server.makeConnection(self.socket)

    # Bytes and packets.

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.server.dataReceived(data)
        self._lose_if_closed()

    def seal(self, payload: bytes) -> bytes:
        """Make a packet."""
        return b"".join(self.sealer.seal(payload, b""))

    def send(self, payload: bytes) -> None:
        """Send one packet, in a turn of the reactor of its own."""
        self.clock.advance(0)
        self.write(self.seal(payload))

    def read(self) -> list[bytes]:
        """Take all payloads that came since the last call."""
        self._collect()
        received, self.received = self.received, []
        return received

    def expect(self, number: int) -> bytes:
        """Take one payload, which must be of this number; give what follows the number."""
        self._collect()
        assert self.received, f"message {number} did not come"
        payload = self.received.pop(0)
        assert payload[0] == number, f"{payload!r} instead of message {number}"
        return payload[1:]

    def disconnected(self) -> str:
        """Take all that is left; give the text of the DISCONNECT it must end in."""
        last = self.read()[-1]
        assert last[0] == 1, f"{last!r} instead of DISCONNECT"
        assert self.socket.disconnecting
        reader = Reader(last, 5)
        return reader.string().decode()

    def lose(self) -> None:
        """Close the socket from this end."""
        if not self.lost:
            self.lost = True
            self.server.connectionLost(Failure(ConnectionDone()))
            self.clock.advance(0)

    def _lose_if_closed(self) -> None:
        if self.socket.disconnecting:
            self.lose()

    def _collect(self) -> None:
        data = self.socket.value()
        self.socket.clear()
        if data.startswith(b"SSH-2.0-") and not self.session_id:
            self.server_line, _, data = data.partition(b"\r\n")
        if data:
            self.reader.feed(data)
        while (payload := self.reader.next()) is not None:
            if payload[0] == 31:
                self._take_kex(Reader(payload, 1))
                continue
            if payload[0] == 21:
                self._use_incoming_keys()
            self.received.append(bytes(payload))

    # Key exchange.

    def identify(self, line: bytes = IDENTIFICATION) -> "Client":
        """Send the identification line."""
        self.identification = line
        self.write(line + b"\r\n")
        return self

    def send_kexinit(self, proposal: Proposal | None = None) -> "Client":
        """Send KEXINIT, and take the server's."""
        self._ours = proposal or self.keys.proposal()
        self._our_kexinit = b"\x14" + self._ours.encode(os.urandom(16))
        self.send(self._our_kexinit)
        return self

    def take_kexinit(self) -> Proposal:
        """Take the server's KEXINIT."""
        self._their_kexinit = b"\x14" + self.expect(20)
        return read_proposal(self._their_kexinit[1:])

    def send_kex(self) -> "Client":
        """Send the public value."""
        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.send(b"\x1e" + pack_string(self.public))
        return self

    def _take_kex(self, reader: Reader) -> None:
        """Take the server's public value, check its signature and derive the keys."""
        self.host_key, theirs, signature = reader.string(), reader.string(), reader.string()
        shared = self._private.exchange(X25519PublicKey.from_public_bytes(theirs))
        secret = MP(int.from_bytes(shared, "big"))
        hashed = (
            self.identification,
            self.server_line,
            self._our_kexinit,
            self._their_kexinit,
            self.host_key,
            self.public,
            theirs,
        )
        digest = hashlib.sha256(b"".join(map(pack_string, hashed)) + secret).digest()
        assert Key.fromString(self.host_key, type="BLOB").verify(signature, digest)
        self.session_id = self.session_id or digest

        def derive(letter: bytes) -> bytes:
            key = hashlib.sha256(secret + digest + letter + self.session_id).digest()
            return key + hashlib.sha256(secret + digest + key).digest()

        self._derived = {letter: derive(letter.encode()) for letter in "ABCDEF"}
        self._agreement = negotiate(read_proposal(self._their_kexinit[1:]), self._ours)

    def _use_incoming_keys(self) -> None:
        derived = self._derived
        self.reader.opener = make_opener(
            self._agreement.cipher_out,
            self._agreement.mac_out,
            key=derived["D"],
            iv=derived["B"],
            mac_key=derived["F"],
            sequence=0 if self.keys.strict else self.reader.opener.sequence,
        )

    def newkeys(self) -> bytes:
        """Give the packet NEWKEYS, and use the new keys for what is sent after it."""
        packet = self.seal(b"\x15")
        derived = self._derived
        self.sealer = make_sealer(
            self._agreement.cipher_in,
            self._agreement.mac_in,
            key=derived["C"],
            iv=derived["A"],
            mac_key=derived["E"],
            sequence=0 if self.keys.strict else self.sealer.sequence,
        )
        return packet

    def exchange_keys(self) -> "Client":
        """Do all of a key exchange."""
        self.send_kexinit()
        self.take_kexinit()
        self.send_kex()
        self.expect(21)
        self.write(self.newkeys())
        return self

    # Login.

    def request_login(self) -> "Client":
        """Ask for the login service."""
        self.send(b"\x05" + pack_string(b"ssh-userauth"))
        if self.keys.extensions:
            self.expect(7)
        assert self.expect(6) == pack_string(b"ssh-userauth")
        return self

    def auth_payload(self, method: bytes, rest: bytes, user: bytes = b"alice") -> bytes:
        """Give a USERAUTH_REQUEST."""
        fields: Sequence[bytes] = (user, b"ssh-connection", method)
        return b"\x32" + b"".join(map(pack_string, fields)) + rest

    def send_token(self, token: str = TOKEN, user: bytes = b"alice") -> "Client":
        """Send a token as password."""
        rest = b"\0" + pack_string(token.encode())
        self.send(self.auth_payload(b"password", rest, user))
        return self

    def send_key(
        self,
        key: Key = USER_KEY,
        algorithm: bytes = b"ssh-ed25519",
        user: bytes = b"alice",
        signature: bytes | None = None,
    ) -> "Client":
        """Send a signed request."""
        if signature is None:
            data = signed_data(self.session_id, user, algorithm, key.blob())
            signature = key.sign(data, signatureType=algorithm)
        rest = b"\1" + b"".join(map(pack_string, (algorithm, key.blob(), signature)))
        self.send(self.auth_payload(b"publickey", rest, user))
        return self

    def offer_key(
        self, key: Key = USER_KEY, algorithm: bytes = b"ssh-ed25519", user: bytes = b"alice"
    ) -> "Client":
        """Ask whether a key would do."""
        rest = b"\0" + pack_string(algorithm) + pack_string(key.blob())
        self.send(self.auth_payload(b"publickey", rest, user))
        return self

    def secure(self) -> "Client":
        """Come as far as the login service."""
        return self.identify().exchange_keys().request_login()

    def login(self) -> "Client":
        """Come as far as an open session."""
        self.secure().send_token()
        assert self.expect(52) == b""
        return self


ALL_CIPHERS = tuple(
    Keys(cipher, mac)
    for cipher in CIPHERS
    for mac in ((*MACS, *OLD_MACS) if cipher.endswith(b"ctr") else MACS[:1])
)

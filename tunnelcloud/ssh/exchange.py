"""Key exchange: what is agreed on, the keys, and new ones in time.

Conch computes the usual key exchanges; this module decides when they happen, what they agree on,
and when new keys come into use.  The module knows its factory's keys and proposal, and no login.

Conch's faults closed here:

- It sends KEXINIT at once: here the client's is awaited for a moment, to steer the cipher, and to
  offer what is old only to clients that have nothing better.
- It takes any number of KEXINITs in one exchange, offers no strict kex (Terrapin), and switches
  both directions late: here each direction switches, and its count restarts, at its own NEWKEYS.
- It never rekeys.
"""

import os
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import (
    DISCONNECT_BY_APPLICATION,
    DISCONNECT_KEY_EXCHANGE_FAILED,
    MSG_EXT_INFO,
    MSG_KEXDH_REPLY,
    MSG_KEXINIT,
    MSG_NEWKEYS,
)
from twisted.internet.interfaces import IDelayedCall

from tunnelcloud.channels.messages import Reader, pack_string
from tunnelcloud.channels.windows import Path
from tunnelcloud.domain.addresses import party_of
from tunnelcloud.net.escaping import escape
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.pki.public_keys import USER_KEY_TYPES
from tunnelcloud.ssh.algorithms import (
    EXT_INFO_CLIENT,
    STRICT_CLIENT,
    Agreement,
    NoCommonAlgorithm,
    Proposal,
    add_old,
    guessed_wrong,
    hash_of,
    negotiate,
    read_proposal,
    steer,
)
from tunnelcloud.ssh.ciphers import make_opener, make_sealer
from tunnelcloud.ssh.fixed_groups import PRIMES, exchange
from tunnelcloud.ssh.host_key_proofs import prove
from tunnelcloud.ssh.host_keys import HostKeySet
from tunnelcloud.ssh.message_gate import Phase
from tunnelcloud.ssh.packet_sealing import Buffer
from tunnelcloud.ssh.packets import WireError
from tunnelcloud.ssh.wire import Wire

LONGEST_PROPOSAL = 16 * 1024
"""How many bytes a KEXINIT may have; those of clients have 3 KiB at most."""

MOST_NAMES = 1000
"""How many names a KEXINIT may list; those of clients list fewer than 150.  Each is looked for in
our lists."""

_SIGNATURE_ALGORITHMS = b",".join(USER_KEY_TYPES)


class KeyExchange(Wire):
    """The part of a connection that agrees on keys.

    :ivar host_keys: those of the connection from its start to its end.
    :ivar agreement: the algorithms in use, once there are some.
    :ivar path: the shortest round trip seen, measured by answers that the client gives at once.
    :ivar client_version: the client's identification line, escaped, without its ``SSH-2.0-``.
    """

    factory: Any
    host_keys: HostKeySet
    agreement: Agreement
    client_version = ""
    path: Path

    def __init__(self, proposal: Proposal, host_keys: HostKeySet) -> None:
        super().__init__()
        self.host_keys = host_keys
        self._proposal = proposal
        self._timer: IDelayedCall | None = None
        self._strict = False
        self._kexinit_sent = False
        self._wants_extensions = False
        self._turn: Callable[[], None] | None = None
        self._forget_turn: Callable[[], None]
        self._next_keys: tuple[bytes, bytes, bytes]

    def await_kexinit(self) -> None:
        """Give the client a moment to send its KEXINIT first."""
        self.phase = Phase.FIRST_KEXINIT
        self._set_timer(self.limits.steering_seconds, self._stop_waiting)

    def _stop_waiting(self) -> None:
        """Send our KEXINIT unsteered: the client seems to wait for it."""
        if self.phase is Phase.FIRST_KEXINIT and not self._kexinit_sent:
            self.sendKexInit()

    def sendKexInit(self) -> None:
        """Send our KEXINIT and hold back what may not follow it."""
        payload = self._proposal.encode(os.urandom(16))
        self.ourKexInitPayload = bytes((MSG_KEXINIT,)) + payload
        self._kexinit_sent = True
        self.sendPacket(MSG_KEXINIT, payload)
        self.hold()

    def start_rekey(self) -> None:
        """Ask for new keys; the client has 30 s to agree on them."""
        if self.phase is Phase.OPEN and not self._kexinit_sent:
            self.sendKexInit()
            self._expect_rekey()

    def ssh_KEXINIT(self, packet: bytes) -> None:
        """Agree on the algorithms, and answer with our own KEXINIT if that wasn't sent yet."""
        if len(packet) > LONGEST_PROPOSAL:
            raise WireError(f"a KEXINIT of {len(packet)} bytes", DISCONNECT_KEY_EXCHANGE_FAILED)
        if packet.count(b",") > MOST_NAMES:
            raise WireError("a KEXINIT of too many names", DISCONNECT_KEY_EXCHANGE_FAILED)
        client = read_proposal(packet)
        first = self.phase is Phase.FIRST_KEXINIT
        self.otherKexInitPayload = bytes((MSG_KEXINIT,)) + packet
        if not self._kexinit_sent:
            self._proposal = add_old(steer(self._proposal, client), client, self.host_keys.private)
            self.sendKexInit()
            if not first:
                self._expect_rekey()
        try:
            self.agreement = negotiate(self._proposal, client)
        except NoCommonAlgorithm as lack:
            raise WireError(self._nothing_common(lack), DISCONNECT_KEY_EXCHANGE_FAILED) from None
        if first:
            self._strict = STRICT_CLIENT in client.key_exchanges
            self._wants_extensions = EXT_INFO_CLIENT in client.key_exchanges
        self.kexAlg = self.agreement.key_exchange
        self.keyAlg = self.agreement.host_key
        self.ignoreNextPacket = int(guessed_wrong(self._proposal, client))
        self.phase = Phase.FIRST_KEX if first else Phase.REKEY

    def _nothing_common(self, lack: NoCommonAlgorithm) -> str:
        """Say which algorithms are missing, and on which side, for the log and for the client."""
        theirs, ours = (escape(b",".join(names)) for names in (lack.client, lack.server))
        return f"no common {lack.purpose}: {self.client_version} has {theirs}; this pod has {ours}"

    def ssh_KEX_DH_GEX_REQUEST_OLD(self, packet: bytes) -> None:
        """Take the client's public value; message 30 is the first of every exchange on offer.

        New keys of an open session are computed when it is its user's turn, slow first ones when it
        is the turn of where the client comes from.
        """
        if self.ignoreNextPacket:
            self.ignoreNextPacket = 0
        elif self._turn is not None:
            raise WireError("a second public value")
        elif self.phase is not Phase.FIRST_KEX:
            # The client has done its part: the time that it waits for others isn't its own.
            self._stop_time()
            self._wait_for_turn(self.factory.new_keys, self.user_id, packet)
        elif self.kexAlg in PRIMES or self.keyAlg.startswith(b"rsa-"):
            self._wait_for_turn(self.factory.first_keys, party_of(self.source), packet)
        else:
            self._compute_keys(packet)

    def _wait_for_turn(self, keys: HandshakeQueue, whose: str, packet: bytes) -> None:
        self._turn = partial(self._take_turn, packet)
        self._forget_turn = partial(keys.forget, self._turn)
        keys.ask(whose, self._turn)

    def _take_turn(self, packet: bytes) -> None:
        """Compute the keys."""
        self._turn = None
        if self.phase is not Phase.FIRST_KEX:
            self._expect_rekey()
        self.guarded(self._compute_keys, packet)

    def _compute_keys(self, packet: bytes) -> None:
        """Compute the keys.

        Conch lets any exception of its parser or of the primitive through; here it ends the
        connection as a failed key exchange.
        """
        try:
            if self.kexAlg in PRIMES:
                self._exchange_in_fixed_group(packet)
            else:
                super().ssh_KEX_DH_GEX_REQUEST_OLD(packet)
        except (struct.error, ValueError, IndexError, UnsupportedAlgorithm):
            raise WireError("a bad public value", DISCONNECT_KEY_EXCHANGE_FAILED) from None

    def _getHostKeys(self, keyAlg: bytes) -> tuple[Key, Key]:
        """Give both halves of the host key for a signature algorithm.

        Conch's key exchanges call this.  It is private in Twisted 26.10;
        ``tests.ssh.test_conch`` pins it.
        """
        kind = b"ssh-rsa" if keyAlg.startswith(b"rsa-sha2-") else keyAlg
        return self.host_keys.public[kind], self.host_keys.private[kind]

    def prove_host_keys(self, data: bytes) -> bytes | None:
        """Prove that the pod has the keys that the client asks for; see ``prove``."""
        assert self.sessionID is not None
        return prove(data, self.host_keys, self.sessionID, self.agreement.host_key)

    def _exchange_in_fixed_group(self, packet: bytes) -> None:
        """Compute the keys as RFC 4253, 8 has it."""
        reader = Reader(packet)
        theirs = reader.string()
        reader.end()
        ours, secret = exchange(PRIMES[self.kexAlg], int.from_bytes(theirs, "big", signed=True))
        public_key, private_key = self._getHostKeys(self.keyAlg)
        host_key = pack_string(public_key.blob())
        hashed = (
            self.otherVersionString,
            self.ourVersionString,
            self.otherKexInitPayload,
            self.ourKexInitPayload,
            public_key.blob(),
            theirs,
        )
        digest = hash_of(self.kexAlg)(b"".join(map(pack_string, hashed)) + ours + secret).digest()
        signature = private_key.sign(digest, signatureType=self.keyAlg)
        self.sendPacket(MSG_KEXDH_REPLY, host_key + ours + pack_string(signature))
        self._keySetup(secret, digest)

    def _keySetup(self, sharedSecret: bytes, exchangeHash: bytes) -> None:
        """Send NEWKEYS and use the new keys for what is sent after it.

        Conch's key exchanges end by calling this.  It is private in Twisted 26.10;
        ``tests.ssh.test_conch`` pins it.
        """
        first = self.sessionID is None
        if self.sessionID is None:
            self.sessionID = exchangeHash

        make_hash = hash_of(self.kexAlg)

        def derive(letter: bytes) -> bytes:
            assert self.sessionID is not None
            secrets = sharedSecret + exchangeHash
            key = make_hash(secrets + letter + self.sessionID).digest()
            return key + make_hash(secrets + key).digest()

        agreement = self.agreement
        self._next_keys = (derive(b"C"), derive(b"A"), derive(b"E"))
        self.sendPacket(MSG_NEWKEYS, b"")
        self.path.asked()
        self.sealer = make_sealer(
            agreement.cipher_out,
            agreement.mac_out,
            key=derive(b"D"),
            iv=derive(b"B"),
            mac_key=derive(b"F"),
            sequence=0 if self._strict else self.sealer.sequence,
        )
        self._kexinit_sent = False
        if first and self._wants_extensions:
            extension = pack_string(b"server-sig-algs") + pack_string(_SIGNATURE_ALGORITHMS)
            self.send_message(bytes((MSG_EXT_INFO, 0, 0, 0, 1)) + extension)
        self.phase = Phase.FIRST_NEWKEYS if first else Phase.REKEY_NEWKEYS
        self.release()

    def ssh_NEWKEYS(self, packet: bytes) -> None:
        """Use the new keys for the bytes that follow, which may be in the same read."""
        if packet:
            raise WireError("NEWKEYS with a payload")
        self.path.answered()
        key, iv, mac_key = self._next_keys
        del self._next_keys
        self.reader.opener = make_opener(
            self.agreement.cipher_in,
            self.agreement.mac_in,
            key=key,
            iv=iv,
            mac_key=mac_key,
            sequence=0 if self._strict else self.reader.opener.sequence,
        )
        if self.phase is Phase.FIRST_NEWKEYS:
            self.phase = Phase.SERVICE
            self.first_keys_in_use()
        else:
            self.phase = Phase.OPEN
            self.new_keys_after_a_time()

    def first_keys_in_use(self) -> None:
        """Hear that the first exchange is over."""

    def new_keys_after_a_time(self) -> None:
        """Ask for new keys when the present ones are old enough."""
        self._set_timer(self.limits.rekey_seconds, self.start_rekey)

    def data_handled(self) -> None:
        """Ask for new keys when the present ones have carried enough."""
        limit = self.limits.rekey_bytes
        if self.reader.opener.opened > limit or self.sealer.sealed > limit:
            self.guarded(self.start_rekey)

    def send_message(self, head: bytes, data: Buffer = b"") -> None:
        """Send a message; ask for new keys when the present ones have carried enough."""
        super().send_message(head, data)
        if self.sealer.sealed > self.limits.rekey_bytes:
            self.start_rekey()

    def _expect_rekey(self) -> None:
        self._set_timer(
            self.limits.rekey_finish_seconds,
            self.sendDisconnect,
            DISCONNECT_BY_APPLICATION,
            "the new keys took too long",
        )

    def _set_timer(self, seconds: float, call: Callable[..., None], *arguments: object) -> None:
        self._stop_time()
        self._timer = self.clock.callLater(seconds, self.guarded, call, *arguments)

    def stop_timer(self) -> None:
        """Ask for nothing any more, and wait for no turn."""
        self._stop_time()
        if self._turn is not None:
            self._forget_turn()
            self._turn = None

    def _stop_time(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

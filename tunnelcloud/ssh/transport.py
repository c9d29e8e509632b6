"""From the accepted socket to an open session: identification, keys, login, rekeying.

Conch computes the key exchanges; when they happen, what they agree on and what may come meanwhile
is decided here.  The module knows its factory's limits, flood control and host keys, and nothing
of what a user may do.

Conch's faults closed here:

- It sends KEXINIT at once: here the client's is awaited for a moment, to steer the cipher.
- It takes any number of KEXINITs in one exchange, offers no strict kex (Terrapin), and switches
  both directions late: here each direction switches, and its count restarts, at its own NEWKEYS.
- It never rekeys.
- Its login timeout starts with the login service, lasts ten hours and starts anew with every
  SERVICE_REQUEST: here three deadlines count from the accepted socket.
- It parses EXT_INFO of any size, for seconds: here it is ignored unparsed.
- It lists its host key algorithms as C{server-sig-algs}: here they are the users'.
"""

import os
import struct
from collections.abc import Callable
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import (
    DISCONNECT_BY_APPLICATION,
    DISCONNECT_KEY_EXCHANGE_FAILED,
    DISCONNECT_SERVICE_NOT_AVAILABLE,
    MSG_EXT_INFO,
    MSG_KEXINIT,
    MSG_NEWKEYS,
    MSG_SERVICE_ACCEPT,
)
from twisted.conch.ssh.userauth import MSG_USERAUTH_SUCCESS
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITCPTransport

from tunnelcloud.channels.messages import Reader, pack_string
from tunnelcloud.channels.windows import Path
from tunnelcloud.link.sockets import acknowledge_now, tune_socket
from tunnelcloud.ssh import flood
from tunnelcloud.ssh.algorithms import (
    EXT_INFO_CLIENT,
    STRICT_CLIENT,
    USER_KEY_TYPES,
    Agreement,
    NoCommonAlgorithm,
    Proposal,
    guessed_wrong,
    negotiate,
    read_proposal,
    steer,
)
from tunnelcloud.ssh.allowance import Allowance
from tunnelcloud.ssh.ciphers import Buffer, make_opener, make_sealer
from tunnelcloud.ssh.escaping import escape
from tunnelcloud.ssh.gate import Phase
from tunnelcloud.ssh.interfaces import IFloodControl
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.ssh.packets import LARGEST_PACKET, WireError
from tunnelcloud.ssh.proxy import ProxyHeader, canonical_address
from tunnelcloud.ssh.wire import Wire

IDENTIFICATION = b"SSH-2.0-TunnelCloud"
_LONGEST_IDENTIFICATION = 255
_SIGNATURE_ALGORITHMS = b",".join(USER_KEY_TYPES)
_LARGEST_OVERHEAD = 4 + 2 + 255 + 64
_NOISE_HEAD = 1024
"""What a message without a meaning costs of a session's allowance, beside its bytes."""
_TOO_MANY = b"Too many connections, try again later.\r\n"
_NOT_SSH = b"Invalid SSH identification string.\r\n"


class Factory(Protocol):
    """What a connection asks of its factory."""

    clock: IReactorTime
    limits: Limits
    flood: IFloodControl
    proposal: Proposal
    connections: "set[FrontDoorTransport]"

    def is_balancer(self, host: str) -> bool:
        """Whether PROXY headers from C{host} are believed."""

    def login_service(self) -> SSHService:
        """Make the service that logs a user in."""


class FrontDoorTransport(Wire):
    """One connection of the front door.

    :ivar agreement: the algorithms in use, once there are some.
    :ivar path: the shortest round trip seen: what the client answered at once, it answered then.
    :ivar client_version: the client's identification line, escaped, without its C{SSH-2.0-}.
    """

    factory: Any
    ourVersionString = IDENTIFICATION
    agreement: Agreement
    client_version = ""

    def __init__(self, factory: Factory) -> None:
        super().__init__()
        self.factory = factory
        self.clock = factory.clock
        self.limits = factory.limits
        self._proposal = factory.proposal
        self._deadline: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._received = b""
        self._counted = False
        self._strict = False
        self._kexinit_sent = False
        self._wants_extensions = False
        self._service_requests = 0
        self._ignored = 0
        self._noise_allowance = Allowance(
            factory.clock, self.limits.noise_bytes, self.limits.noise_bytes_per_second
        )
        self._next_keys: tuple[bytes, bytes, bytes]
        self._proxy = ProxyHeader()
        self.path = Path(self.clock.seconds)

    # The socket.

    def connectionMade(self) -> None:
        """Find out who connects; only a balancer may say that it is someone else."""
        self._accepted = self.clock.seconds()
        self.factory.connections.add(self)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        peer = self.transport.getPeer()
        self.source = canonical_address(str(getattr(peer, "host", "")))
        self.source_port = int(getattr(peer, "port", 0))
        self._set_deadline(self.limits.identification_seconds)
        if self.factory.is_balancer(self.source):
            self._receive = self._receive_proxy
        else:
            self._admit()

    def _receive_proxy(self, data: bytes) -> None:
        rest = self._proxy.feed(data)
        if rest is None:
            return
        if self._proxy.address is not None:
            self.source = self._proxy.address.host
            self.source_port = self._proxy.address.port
        self._admit()
        if rest:
            self._receive(rest)

    def _admit(self) -> None:
        if not self.factory.flood.connection_made(self.source):
            self.transport.write(_TOO_MANY)
            self.close("too many connections")
            return
        self._counted = True
        self._receive = self._receive_identification
        self.transport.write(self.ourVersionString + b"\r\n")

    def ended(self) -> None:
        """Stop the clocks, and stop counting."""
        self.factory.connections.discard(self)
        for call in (self._deadline, self._timer):
            if call is not None and call.active():
                call.cancel()
        if self._counted:
            self._counted = False
            if self.sessionID is not None:
                self.factory.flood.offended(self.source, flood.ABANDONED)
            self.factory.flood.connection_lost(self.source)

    def broken(self, code: int, text: str) -> None:
        """Count it as an offence too, before the login."""
        if self._counted and self.phase is not Phase.OVER:
            failed = code == DISCONNECT_KEY_EXCHANGE_FAILED
            weight = flood.ABANDONED if failed else flood.BROKEN_PROTOCOL
            self.factory.flood.offended(self.source, weight)
        super().broken(code, text)

    # Deadlines: none of them is ever put off by what the client does.

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        left = max(0.0, self._accepted + seconds - self.clock.seconds())
        self._deadline = self.clock.callLater(left, self._too_late)

    def _too_late(self) -> None:
        if self.phase is Phase.IDENTIFICATION and not self.heard:
            self.close("nothing was sent")
            return
        self._log.info("{name}: too slow to log in", name=self.name)
        self.factory.flood.offended(self.source, flood.LOGIN_TIMEOUT)
        self.sendDisconnect(DISCONNECT_BY_APPLICATION, "this took too long")

    # Identification (RFC 4253, 4.2).

    def _receive_identification(self, data: bytes) -> None:
        line, ended, rest = data.partition(b"\n")
        line = self._received + line[:_LONGEST_IDENTIFICATION]
        if not ended and len(line) < _LONGEST_IDENTIFICATION:
            self._received = line
            return
        line = line.removesuffix(b"\r")
        if not ended or not _is_identification(line):
            self.transport.write(_NOT_SSH)
            raise WireError("not an SSH client")
        self.gotVersion = True
        self.otherVersionString = line
        self.client_version = escape(line.removeprefix(b"SSH-2.0-"))
        self.phase = Phase.FIRST_KEXINIT
        self._receive = self._receive_packets
        self._set_deadline(self.limits.kex_seconds)
        self._timer = self.clock.callLater(self.limits.steering_seconds, self._stop_waiting)
        if rest:
            self._receive_packets(rest)

    def _stop_waiting(self) -> None:
        """Send our KEXINIT unsteered: the client seems to wait for it."""
        if self.phase is Phase.FIRST_KEXINIT and not self._kexinit_sent:
            self.guarded(self.sendKexInit)

    # Key exchange.

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
        client = read_proposal(packet)
        first = self.phase is Phase.FIRST_KEXINIT
        self.otherKexInitPayload = bytes((MSG_KEXINIT,)) + packet
        if not self._kexinit_sent:
            self._proposal = steer(self._proposal, client)
            self.sendKexInit()
            if not first:
                self._expect_rekey()
        try:
            self.agreement = negotiate(self._proposal, client)
        except NoCommonAlgorithm as purpose:
            raise WireError(f"no common {purpose}", DISCONNECT_KEY_EXCHANGE_FAILED) from None
        if first:
            self._strict = STRICT_CLIENT in client.key_exchanges
            self._wants_extensions = EXT_INFO_CLIENT in client.key_exchanges
        self.kexAlg = self.agreement.key_exchange
        self.keyAlg = self.agreement.host_key
        self.ignoreNextPacket = int(guessed_wrong(self._proposal, client))
        self.phase = Phase.FIRST_KEX if first else Phase.REKEY

    def ssh_KEX_DH_GEX_REQUEST_OLD(self, packet: bytes) -> None:
        """Compute the keys; message 30 is the first of every exchange on offer.

        Conch fails with whatever its parser or the primitive raises: here that ends the
        connection as the key exchange's failure that it is.
        """
        if self.ignoreNextPacket:
            self.ignoreNextPacket = 0
            return
        try:
            super().ssh_KEX_DH_GEX_REQUEST_OLD(packet)
        except (struct.error, ValueError, IndexError, UnsupportedAlgorithm):
            raise WireError("a bad public value", DISCONNECT_KEY_EXCHANGE_FAILED) from None

    def _keySetup(self, sharedSecret: bytes, exchangeHash: bytes) -> None:
        """Send NEWKEYS and use the new keys for what is sent after it.

        Conch's key exchanges end by calling this, and C{_getKey} derives the keys.  Both are
        private in Twisted 26.10; C{tests.ssh.test_conch} pins them.
        """
        first = self.sessionID is None
        if self.sessionID is None:
            self.sessionID = exchangeHash

        def derive(letter: bytes) -> bytes:
            return self._getKey(letter, sharedSecret, exchangeHash)

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
        """Use the new keys for what comes next, which may be in the same read."""
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
            acknowledge_now(self.transport)  # OpenSSH's next message waits for it
            self._set_deadline(self.limits.login_seconds)
        else:
            self.phase = Phase.OPEN
            self._set_timer(self.limits.rekey_seconds, self.start_rekey)

    def ssh_EXT_INFO(self, packet: bytes) -> None:
        """Ignore it; its one place is right after the client's first NEWKEYS (RFC 8308, 2.4)."""
        if self.reader.opener.opened > len(packet) + _LARGEST_OVERHEAD:
            raise WireError("EXT_INFO out of place")

    def unknown_message(self, payload: memoryview) -> None:
        """Answer it, within what is borne of messages without a meaning."""
        self._noise(payload)
        super().unknown_message(payload)

    def _noise(self, packet: "bytes | memoryview") -> None:
        """Ignore it unparsed; but nobody may keep the pod busy with it.

        Before the login so many are borne.  A session has an allowance, which fills up with time.
        """
        if self._counted:
            self._ignored += 1
            if self._ignored > self.limits.ignored_before_login:
                raise WireError("too many messages without a meaning")
        elif not self._noise_allowance.take(_NOISE_HEAD + len(packet)):
            raise WireError("too many messages without a meaning")

    ssh_IGNORE = ssh_DEBUG = ssh_UNIMPLEMENTED = _noise

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
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self.clock.callLater(seconds, self.guarded, call, *arguments)

    # Services.

    def ssh_SERVICE_REQUEST(self, packet: bytes) -> None:
        """Start the login, once; asking again resets nothing.

        paramiko asks before every attempt, so there may be as many requests as attempts.
        """
        reader = Reader(packet)
        name = reader.string()
        reader.end()
        if name != b"ssh-userauth":
            raise WireError(f"no service {escape(name)!r}", DISCONNECT_SERVICE_NOT_AVAILABLE)
        self._service_requests += 1
        if self._service_requests > self.limits.key_queries + self.limits.login_failures:
            raise WireError("too many service requests")
        self.sendPacket(MSG_SERVICE_ACCEPT, NS(name))
        self.path.asked()
        if self.phase is Phase.SERVICE:
            self.phase = Phase.LOGIN
            self.setService(self.factory.login_service())

    def logged_in(self, service: SSHService) -> None:
        """Send USERAUTH_SUCCESS and open the connection for C{service}."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._counted = False
        self.factory.flood.authenticated(self.source)
        self.sendPacket(MSG_USERAUTH_SUCCESS, b"")
        self.phase = Phase.OPEN
        self.reader.largest = LARGEST_PACKET
        tune_socket(self.transport)
        self.transport.registerProducer(self, True)
        self._set_timer(self.limits.rekey_seconds, self.start_rekey)
        self.setService(service)


def _is_identification(line: bytes) -> bool:
    return line.startswith(b"SSH-2.0-") and len(line) > len(b"SSH-2.0-") and b"\0" not in line

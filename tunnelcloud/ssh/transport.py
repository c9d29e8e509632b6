"""From the accepted socket to an open session: identification, deadlines, login.

``exchange`` agrees on keys in between.  The module knows its factory's limits and flood control,
and nothing of what a user may do.

Conch's faults closed here:

- Its login timeout starts with the login service, lasts ten hours and starts anew with every
  SERVICE_REQUEST: here three deadlines count from the accepted socket.
- It parses EXT_INFO of any size, for seconds: here it is ignored unparsed.
- It lists its host key algorithms as ``server-sig-algs``: here they are the users'.
"""

from typing import Protocol

from twisted.conch.ssh.common import NS
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import (
    DISCONNECT_BY_APPLICATION,
    DISCONNECT_KEY_EXCHANGE_FAILED,
    DISCONNECT_SERVICE_NOT_AVAILABLE,
    DISCONNECT_TOO_MANY_CONNECTIONS,
    MSG_SERVICE_ACCEPT,
)
from twisted.conch.ssh.userauth import MSG_USERAUTH_SUCCESS
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITCPTransport
from twisted.python.failure import Failure

from tunnelcloud.channels.messages import Reader
from tunnelcloud.channels.windows import Path
from tunnelcloud.domain.addresses import canonical_address
from tunnelcloud.net import source_limits
from tunnelcloud.net.allowance import Allowance
from tunnelcloud.net.escaping import escape
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.interfaces import IFloodControl
from tunnelcloud.net.message_scheduling import Rounds, SharedTurn
from tunnelcloud.net.proxy_protocol import BadProxyHeader, ProxyHeader
from tunnelcloud.net.sockets import acknowledge_now, seconds_since_acknowledgement, tune_socket
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.net.write_coalescing import Gathering
from tunnelcloud.ssh.algorithms import Proposal
from tunnelcloud.ssh.exchange import KeyExchange
from tunnelcloud.ssh.host_keys import HostKeySet
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.ssh.message_gate import Phase
from tunnelcloud.ssh.packets import LARGEST_PACKET, WireError

IDENTIFICATION = b"SSH-2.0-TunnelCloud"
_LONGEST_IDENTIFICATION = 255
_LARGEST_OVERHEAD = 4 + 2 + 255 + 64
_NOISE_HEAD = 1024
"""How many bytes a message without a meaning counts beside its own."""
_SMALL_NOISE = 64
_NOT_SSH = b"Invalid SSH identification string.\r\n"


class Factory(Protocol):
    """What a connection asks of its factory."""

    clock: IReactorTime
    limits: Limits
    flood: IFloodControl
    proposal: Proposal
    host_keys: HostKeySet
    connections: "set[FrontDoorTransport]"
    refused: "set[FrontDoorTransport]"
    new_keys: HandshakeQueue
    first_keys: HandshakeQueue
    strangers: SharedTurn
    turn: SharedTurn
    spreading: Spreading

    def is_balancer(self, host: str) -> bool:
        """Whether PROXY headers from ``host`` are believed."""

    def login_service(self) -> SSHService:
        """Make the service that logs a user in."""


class FrontDoorTransport(KeyExchange):
    """One connection of the front door."""

    ourVersionString = IDENTIFICATION

    def __init__(self, factory: Factory) -> None:
        super().__init__(factory.proposal, factory.host_keys)
        self.factory = factory
        self.clock = factory.clock
        self.gathering = Gathering(factory.clock, self._uncork)
        self.rounds = Rounds(factory.strangers, self._party, self.go_on)
        self.limits = factory.limits
        self._deadline: IDelayedCall | None = None
        self._received = b""
        self._counted = False
        self._refused = False
        self._service_requests = 0
        self._ignored = 0
        self._noise_allowance = Allowance(
            factory.clock, self.limits.noise_bytes, self.limits.noise_bytes_per_second
        )
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
            self._first = self._receive_proxy
            self._receive = self._receive_first
        else:
            self._admit()

    def _receive_first(self, data: bytes) -> None:
        """Take what comes before the first packet, when it is the connection's turn."""
        if self.rounds.room() > 0 and not self.rounds.waiting:
            self.rounds.take(1)
            self._first(data)
            return
        self._late += data
        if not self.rounds.waiting:
            self.rounds.wait(self.transport)

    def _receive_proxy(self, data: bytes) -> None:
        try:
            rest = self._proxy.feed(data)
        except BadProxyHeader as bad:
            raise WireError(str(bad)) from None
        if rest is None:
            return
        if self._proxy.address is not None:
            self.source = self._proxy.address.host
            self.source_port = self._proxy.address.port
        self._admit()
        if rest:
            self._receive(rest)

    def _admit(self) -> None:
        refusal = self.factory.flood.connection_made(self.source)
        if refusal:
            # Clients show what a DISCONNECT says, and nothing that stands before the version.
            self.transport.write(self.ourVersionString + b"\r\n")
            self.phase = Phase.FIRST_KEXINIT
            self._refused = True
            self.sendDisconnect(DISCONNECT_TOO_MANY_CONNECTIONS, refusal)
            return
        self._counted = True
        self._first = self._receive_identification
        self._receive = self._receive_first
        self.transport.write(self.ourVersionString + b"\r\n")

    def _party(self) -> str:
        """Name the party whose connections share a turn's messages."""
        return self.user_id or self.source

    def close_socket(self) -> None:
        """Let a refused client send its first bytes, or it fails at them and doesn't show the
        reason.

        Only a limited number of clients is waited for.
        """
        if not self._refused or len(self.factory.refused) >= self.limits.refused_at_once:
            super().close_socket()
            return
        self.factory.refused.add(self)
        self.transport.loseWriteConnection()
        self.abort_after(self.limits.refused_seconds)

    def connectionLost(self, reason: "Failure | None" = None) -> None:
        """Forget the connection."""
        self.factory.refused.discard(self)
        super().connectionLost(reason)

    def seconds_since_acknowledgement(self) -> float | None:
        """Tell how long ago the client's system last acknowledged anything.

        Unknown behind a balancer, which acknowledges for clients that are long gone.
        """
        if self._proxy.address is not None:
            return None
        return seconds_since_acknowledgement(self.transport)

    def ended(self) -> None:
        """Stop the clocks, and stop counting."""
        self.factory.connections.discard(self)
        self.stop_timer()
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if self._counted:
            self._counted = False
            if self.sessionID is not None:
                self.factory.flood.offended(self.source, source_limits.ABANDONED)
            self.factory.flood.connection_lost(self.source)

    def broken(self, code: int, text: str) -> None:
        """Count it as an offence too, before the login."""
        if self._counted and self.phase is not Phase.OVER:
            failed = code == DISCONNECT_KEY_EXCHANGE_FAILED
            weight = source_limits.ABANDONED if failed else source_limits.BROKEN_PROTOCOL
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
        self.factory.spreading.run(self._end_late)

    def _end_late(self) -> bool:
        """End the connection: a step, for the time of many may be over at once."""
        if self.phase is not Phase.OVER:
            self._log.info("{name}: too slow to log in", name=self.name)
            self.factory.flood.offended(self.source, source_limits.LOGIN_TIMEOUT)
            self.sendDisconnect(DISCONNECT_BY_APPLICATION, "this took too long")
        return False

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
        self._receive = self._receive_packets
        self._set_deadline(self.limits.kex_seconds)
        self.await_kexinit()
        if rest:
            self._receive_packets(rest)

    def first_keys_in_use(self) -> None:
        """Await the login."""
        acknowledge_now(self.transport)  # OpenSSH's next message waits for it
        self._set_deadline(self.limits.login_seconds)

    def awaits_browser(self) -> None:
        """Give the user time to sign in to the portal; the pod limits how many may wait."""
        self._set_deadline(self.limits.browser_seconds)

    # Noise.

    def ssh_EXT_INFO(self, packet: bytes) -> None:
        """Ignore it; its one place is right after the client's first NEWKEYS (RFC 8308, 2.4)."""
        if self.reader.opener.opened > len(packet) + _LARGEST_OVERHEAD:
            raise WireError("EXT_INFO out of place")

    def unknown_message(self, payload: memoryview) -> None:
        """Answer it with UNIMPLEMENTED, as long as its sender keeps within the limits."""
        self._noise(payload)
        super().unknown_message(payload)

    def _noise(self, packet: "bytes | memoryview") -> None:
        """Ignore it unparsed, and limit how many a client may send.

        Before the login the number is limited.  A session has an allowance, which fills up with
        time; a small one after each meaningful message doesn't count, since asyncssh sends them.
        """
        if self._counted:
            self._ignored += 1
            if self._ignored > self.limits.ignored_before_login:
                raise WireError("too many messages without a meaning")
        elif self.meant and len(packet) < _SMALL_NOISE:
            self.meant = False
        elif not self._noise_allowance.take(_NOISE_HEAD + len(packet)):
            raise WireError("too many messages without a meaning")

    ssh_IGNORE = ssh_DEBUG = ssh_UNIMPLEMENTED = _noise

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
        """Send USERAUTH_SUCCESS and open the connection for ``service``."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._counted = False
        self.factory.flood.authenticated(self.source)
        self.sendPacket(MSG_USERAUTH_SUCCESS, b"")
        self.phase = Phase.OPEN
        self.reader.largest = LARGEST_PACKET
        tune_socket(self.transport)
        self.rounds.move(self.factory.turn)
        self.rounds.start_small(self.transport)
        self.transport.registerProducer(self, True)
        self.new_keys_after_a_time()
        self.setService(service)


def _is_identification(line: bytes) -> bool:
    return line.startswith(b"SSH-2.0-") and len(line) > len(b"SSH-2.0-") and b"\0" not in line

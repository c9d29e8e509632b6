"""The front door's factory: what all its connections share.

Conch's faults closed here: ``buildProtocol`` overwrites the host key algorithms (with SHA-1 among
them), and ``getService`` trusts an attribute of the transport to know who is logged in.
"""

from collections.abc import Callable, Iterable, Sequence

from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import DISCONNECT_BY_APPLICATION, SSHServerTransport
from twisted.cred.portal import Portal
from twisted.internet.interfaces import IAddress, IReactorTime

from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.domain.addresses import is_within, read_networks
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.interfaces import IFloodControl
from tunnelcloud.net.message_scheduling import SharedTurn, turn_of_strangers
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.ssh.algorithms import KEY_EXCHANGES, our_proposal
from tunnelcloud.ssh.connection import ConnectionService
from tunnelcloud.ssh.host_keys import HostKeySet
from tunnelcloud.ssh.interfaces import IAccess, ISessionAvatar
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.ssh.message_gate import Phase
from tunnelcloud.ssh.transport import FrontDoorTransport
from tunnelcloud.ssh.userauth import LoginService


class FrontDoorFactory(SSHFactory):
    """Makes the front door's connections.

    :param portal: its checkers are those of ``checkers``, its realm gives ``ISessionAvatar``.
    :param access: judges keys that are only offered.
    :param host_keys: see ``use_host_keys``.
    :param budget: where the credit of all channels comes from.
    :param balancers: networks whose PROXY headers are believed; list them as exempt, too.
    :param tokens_from: where users get one-time tokens, in words.
    :param turn: bounds what all sessions bring in one turn of the reactor.
    :param spreading: spreads the ends of channels over turns.
    :ivar host_keys: what connections begin with.
    :ivar connections: all that are neither over nor lost.
    :ivar refused: those that may not start, while they read the reason.
    :ivar new_keys: computes the new keys of open sessions.
    :ivar first_keys: computes the first keys where that takes long.
    """

    noisy = False

    def __init__(
        self,
        *,
        portal: Portal,
        access: IAccess,
        host_keys: Sequence[Key],
        clock: IReactorTime,
        flood: IFloodControl,
        budget: CreditBudget,
        limits: Limits | None = None,
        balancers: Iterable[str] = (),
        tokens_from: str = "the Applications Portal",
        turn: SharedTurn | None = None,
        spreading: Spreading | None = None,
    ) -> None:
        self.portal = portal
        self.access = access
        self.clock = clock
        self.flood = flood
        self.limits = limits or Limits()
        self.connections: set[FrontDoorTransport] = set()
        self.refused: set[FrontDoorTransport] = set()
        self.new_keys = HandshakeQueue(clock)
        self.first_keys = HandshakeQueue(clock)
        self.strangers = turn_of_strangers(clock)
        self.turn = turn or SharedTurn(clock)
        self.spreading = spreading or Spreading(clock)
        self._budget = budget
        self._tokens_from = tokens_from
        self._balancers = read_networks(balancers)
        self.primes = None
        self.use_host_keys(host_keys)

    def use_host_keys(self, current: Sequence[Key], beside: Sequence[Key] = ()) -> None:
        """Have connections from now on begin with these private keys.

        :param current: one of each type, the most wanted first.
        :param beside: further keys that clients may learn.
        """
        self.host_keys = HostKeySet.of(current, beside)
        self.privateKeys = dict(self.host_keys.private)
        self.publicKeys = dict(self.host_keys.public)
        available = SSHServerTransport.supportedKeyExchanges
        self.proposal = our_proposal(
            [name for name in KEY_EXCHANGES if name in available], self.privateKeys
        )

    def buildProtocol(self, addr: IAddress | None) -> FrontDoorTransport:
        """Make a connection's protocol."""
        return FrontDoorTransport(self)

    def is_balancer(self, host: str) -> bool:
        """Whether PROXY headers from ``host`` are believed."""
        return is_within(host, self._balancers)

    def login_service(self) -> SSHService:
        """Make the service that logs a user in."""
        return LoginService(
            self.portal,
            self.access,
            self._session_service,
            self.limits.login_failures,
            self.limits.key_queries,
            self._tokens_from,
        )

    def end_all(self, reason: str) -> None:
        """End every connection, telling why."""
        for connection in tuple(self.connections):
            connection.sendDisconnect(DISCONNECT_BY_APPLICATION, reason)

    def end_unauthenticated(self, reason: str) -> None:
        """End every connection that hasn't logged in, telling why."""
        for connection in tuple(self.connections):
            if connection.phase not in (Phase.OPEN, Phase.REKEY, Phase.REKEY_NEWKEYS):
                connection.sendDisconnect(DISCONNECT_BY_APPLICATION, reason)

    def _session_service(
        self, avatar: ISessionAvatar, logout: Callable[[], object]
    ) -> ConnectionService:
        return ConnectionService(avatar, logout, self.clock, self.limits, self._budget.account())

"""The connector's links to all pods it knows: dials them, keeps them, and hears of more pods.

What holds: the connector dials every address that a pod announces.  An address that no linked pod
announces is given up once its own links are lost, except the last one that works from here.  Each
pod's announcement counts while it is linked, so that their order doesn't matter.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from attrs import evolve
from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.connector.interfaces import IConnectorReactor, ILinksUser
from tunnelcloud.connector.link_keeper import LinkKeeper
from tunnelcloud.connector.outgoing import Outgoing
from tunnelcloud.connector.targets import Targets
from tunnelcloud.domain.join_tokens import read_pod_address
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.interfaces import ILinkOwner
from tunnelcloud.link.protocol import End, LinkProtocol
from tunnelcloud.link.requests import AUTHORITIES, DISMISS, PODS, RENEW, Document, Handler, Hello
from tunnelcloud.link.tls import LinkTLS, distrust, not_taken
from tunnelcloud.link.transport import LinkTransportFactory
from tunnelcloud.net.escaping import escape
from tunnelcloud.net.message_scheduling import SharedTurn
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.pki.authority import UntrustedPod
from tunnelcloud.pki.authority_rotation import check_pod_of_any

MAX_PODS = 64
MAX_AUTHORITIES = 4
LONGEST_REASON = 500
"""Characters that are shown of what a pod says when it turns a connector away."""

_log = Logger()


class PodLinks:
    """Holds links to pods.

    :param links_per_pod: how many to each, so that one loss doesn't stall all.
    :ivar tls: the TLS settings of new links; replaced with the certificate.
    """

    def __init__(
        self,
        reactor: IConnectorReactor,
        outgoing: Outgoing,
        tls: LinkTLS,
        hello: Hello,
        targets: Targets,
        user: ILinksUser,
        now: Callable[[], datetime],
        random: Callable[[], float],
        links_per_pod: int = 2,
    ) -> None:
        self.tls = tls
        self._reactor = reactor
        self._outgoing = outgoing
        self._hello = hello
        self._targets = targets
        self._user = user
        self._now = now
        self._random = random
        self._links_per_pod = links_per_pod
        self._budget = CreditBudget(shares=1)
        self._turn, self._spreading = SharedTurn(reactor), Spreading(reactor)
        self._keepers: dict[PublicAddress, list[LinkKeeper]] = {}
        self._announced: dict[LinkProtocol, frozenset[PublicAddress]] = {}
        self._links: set[LinkProtocol] = set()
        self._stopping: Deferred[None] | None = None

    @property
    def links(self) -> Sequence[LinkProtocol]:
        """The links that are up."""
        return tuple(link for link in self._links if link.peer is not None)

    @property
    def announced(self) -> frozenset[PublicAddress]:
        """The pods' addresses, as announced by the linked pods."""
        return frozenset().union(*self._announced.values())

    def dial(self, pods: Sequence[PublicAddress]) -> None:
        """Hold links to these pods, too."""
        for address in pods:
            if address not in self._keepers and len(self._keepers) < MAX_PODS:
                keepers = [
                    LinkKeeper(address, self._connect, self._reactor, self._random)
                    for _ in range(self._links_per_pod)
                ]
                self._keepers[address] = keepers
                for keeper in keepers:
                    keeper.start()

    def request(self, name: bytes, document: Document) -> bool:
        """Send a request to any linked pod; return whether there is one."""
        for link in self.links:
            if link.ready:
                link.request(name, document)
                return True
        return False

    def rest(self) -> None:
        """Stop dialling until :meth:`resume`; existing links stay."""
        for keeper in self._all_keepers():
            keeper.stop()

    def resume(self) -> None:
        """Dial pods without a link again."""
        if self._stopping is None:
            for keeper in self._all_keepers():
                keeper.resume()

    def _all_keepers(self) -> list[LinkKeeper]:
        return [keeper for keepers in self._keepers.values() for keeper in keepers]

    def stop(self) -> "Deferred[None]":
        """Take no new channels; fire when the last link is over."""
        self._targets.stopping = True
        stopping = self._stopping = Deferred()
        self.rest()
        for link in tuple(self._links):
            if link.peer is None:
                link.disconnect("the connector is stopping")
            else:
                link.drain()
        self._tell_if_stopped()
        return stopping

    def cut(self, reason: str) -> None:
        """End all links, and their channels with them."""
        for link in tuple(self._links):
            link.disconnect(reason)

    def _connect(self, keeper: LinkKeeper) -> "Deferred[IProtocol]":
        owner = _Owner(self, keeper, self._targets)
        hello = evolve(self._hello, way=self._outgoing.way_to(keeper.address))

        def dismissed(_: LinkProtocol, document: Document) -> Document:
            keeper.dismissed(escape(str(document.get("reason", "")), LONGEST_REASON))
            return {}

        def make_link() -> LinkProtocol:
            link = LinkProtocol(
                End.CONNECTOR,
                hello,
                owner,
                self._reactor,
                account=self._budget.account(),
                handlers={**self._handlers, DISMISS: dismissed},
                turn=self._turn,
                spreading=self._spreading,
            )
            self._links.add(link)
            return link

        inner = Factory.forProtocol(make_link)
        inner.noisy = False
        factory = LinkTransportFactory(self.tls, True, inner, self._reactor)
        return self._outgoing.connect(keeper.address, factory)

    # What links tell.

    def refusal(self, certificate: x509.Certificate | None) -> str | None:
        """Refuse a peer that is no pod of the CA."""
        if certificate is None:
            return "the peer shows no certificate"
        try:
            check_pod_of_any(certificate, self.tls.authorities, self._now())
        except UntrustedPod as error:
            return str(error)
        return None

    def not_taken(self, reason: str) -> str:
        """Say what to do if pods don't accept our certificate; empty for another reason."""
        return not_taken(self.tls.certificate, reason, self._now())

    def lost(self, link: LinkProtocol, keeper: LinkKeeper, reason: str) -> None:
        """Forget a link; dial again, unless no pod announces its address any more."""
        self._links.discard(link)
        self._announced.pop(link, None)
        keeper.lost(reason)
        self._drop_unannounced()
        self._tell_if_stopped()

    @property
    def _handlers(self) -> dict[bytes, Handler]:
        return {
            PODS: self._pods_announced,
            RENEW: self._renewed,
            AUTHORITIES: self._authorities_told,
        }

    def _pods_announced(self, link: LinkProtocol, document: Document) -> Document | None:
        addresses = document.get("pods")
        if not isinstance(addresses, list) or len(addresses) > MAX_PODS:
            return None
        try:
            announced = [read_pod_address(str(address)) for address in addresses]
        except ValueError as error:
            _log.warn("{pod} announces {error}", pod=link.peer_name, error=error)
            return None
        self._announced[link] = frozenset(announced)
        if self._stopping is None:
            self._drop_unannounced()
            self.dial(announced)
            self._user.pods_known(tuple(self._keepers))
        return {}

    def _renewed(self, link: LinkProtocol, document: Document) -> Document | None:
        certificate = document.get("certificate")
        if not isinstance(certificate, str):
            return None
        # A refusal tells the pod that its certificate isn't used.
        return {} if self._user.certificate_renewed(certificate.encode("utf-8")) else None

    def _authorities_told(self, link: LinkProtocol, document: Document) -> Document | None:
        told = document.get("authorities")
        if not isinstance(told, list) or not 0 < len(told) <= MAX_AUTHORITIES:
            return None
        ca_pem = "".join(map(str, told)).encode("utf-8")
        return {} if self._user.authorities_known(ca_pem) else None

    def _drop_unannounced(self) -> None:
        announced = self.announced
        if not any(self._reachable(address) for address in announced):
            return
        for address in tuple(self._keepers):
            if address not in announced and not self._reachable(address):
                _log.info("pod {pod} is gone", pod=address)
                for keeper in self._keepers.pop(address):
                    keeper.stop()

    def _reachable(self, address: PublicAddress) -> bool:
        return any(keeper.connected for keeper in self._keepers.get(address, ()))

    def _tell_if_stopped(self) -> None:
        stopping = self._stopping
        if stopping is not None and not stopping.called and not self._links:
            stopping.callback(None)


@implementer(ILinkOwner)
class _Owner:
    """Owns one link, on behalf of its keeper."""

    def __init__(self, links: PodLinks, keeper: LinkKeeper, targets: Targets) -> None:
        self._links = links
        self._keeper = keeper
        self._targets = targets

    def link_refusal(self, link: LinkProtocol, certificate: x509.Certificate | None) -> str | None:
        return self._links.refusal(certificate)

    def link_ready(self, link: LinkProtocol) -> None:
        _log.info("link to {pod} ({name}) is up", pod=self._keeper.address, name=link.peer_name)

    def link_lost(self, link: LinkProtocol, reason: str) -> None:
        told = distrust(link.transport) or self._links.not_taken(reason) or reason
        self._links.lost(link, self._keeper, told)

    def channel_requested(
        self, link: LinkProtocol, channel: IChannel, channel_type: bytes, data: bytes
    ) -> None:
        self._targets.open(channel, channel_type, data)

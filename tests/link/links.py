"""Two ends of a link, joined by real TLS over an in-memory wire."""

from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.test import iosim
from zope.interface import implementer

from tests.channels.wires import End as StreamEnd
from tests.link.tls_wires import link_tls, now, only
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.link.interfaces import ILinkOwner
from tunnelcloud.link.protocol import End, LinkProtocol
from tunnelcloud.link.requests import Hello
from tunnelcloud.link.tls import PodTLS
from tunnelcloud.link.transport import LinkTransportFactory
from tunnelcloud.pki.authority import CertificateAuthority

AUTHORITY = CertificateAuthority.create(now())


class _TwistedTransport(TLSMemoryBIOProtocol):
    """Twisted's own, but for the type of what is written."""

    def _write(self, data):
        super()._write(bytes(data))

    def give_back(self):
        """Keep its memory."""


class TwistedTransportFactory(TLSMemoryBIOFactory):
    protocol = _TwistedTransport


@implementer(ILinkOwner)
class Owner:
    """Keeps what a link tells."""

    def __init__(self):
        self.refusal = None
        self.certificates = []
        self.ready = []
        self.lost = []
        self.asked = []

    def link_refusal(self, link, certificate):
        self.certificates.append(certificate)
        return self.refusal

    def link_ready(self, link):
        self.ready.append(link)

    def link_lost(self, link, reason):
        self.lost.append(reason)

    def channel_requested(self, link, channel, channel_type, data):
        self.asked.append((channel, channel_type, data))


class LinkPair:
    """A pod's end and a connector's, and the wire between them."""

    def __init__(
        self,
        client_tls=None,
        server_factory=LinkTransportFactory,
        client_factory=LinkTransportFactory,
        handlers=(),
        connector_end=End.CONNECTOR,
        **pod_options,
    ):
        self.clock = Clock()
        self.pod_owner, self.connector_owner = Owner(), Owner()
        self.budgets = CreditBudget(), CreditBudget()
        self.pod = LinkProtocol(
            End.POD,
            Hello("pod-1", "0.1"),
            self.pod_owner,
            self.clock,
            account=self.budgets[0].account(),
            handlers=dict(handlers),
            **pod_options,
        )
        self.connector = LinkProtocol(
            connector_end,
            Hello("paris-1", "0.2", frozenset({"health"})),
            self.connector_owner,
            self.clock,
            account=self.budgets[1].account(),
            handlers=dict(handlers),
        )
        server = self._wrap(server_factory, PodTLS(only(AUTHORITY), now), False, self.pod)
        client = self._wrap(client_factory, client_tls or link_tls(AUTHORITY), True, self.connector)
        self.server_wire = iosim.FakeTransport(server, True)
        self.client_wire = iosim.FakeTransport(client, False)
        self._pump = iosim.connect(server, self.server_wire, client, self.client_wire, greet=False)

    def _wrap(self, factory, creator, is_client, protocol):
        inner = Factory.forProtocol(lambda: protocol)
        return factory(creator, is_client, inner, self.clock).buildProtocol(None)

    def run(self):
        """Let everything arrive."""
        quiet = 0
        while quiet < 3:
            moved = self._pump.pump()
            self.clock.advance(0)
            quiet = 0 if moved else quiet + 1

    def start(self):
        self.run()
        assert self.pod.ready
        assert self.connector.ready
        return self


def join(pair):
    """Open a channel over a link; give the user at each of its ends."""
    near, far = StreamEnd(), StreamEnd()
    near.channel = pair.pod.open_channel(b"direct-tcpip", b"", near, pair.budgets[0].account())
    pair.run()
    far.channel = pair.connector_owner.asked[-1][0]
    far.channel.user = far
    far.channel.confirm()
    pair.run()
    assert near.is_open
    return near, far

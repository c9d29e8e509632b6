"""A pod's door for connectors, over in-memory TLS."""

from datetime import timedelta

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.channels.wires import End
from tests.link.tls_wires import now
from tests.pod.registries import MemoryRegistry, make_connector
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link import protocol
from tunnelcloud.link.interfaces import ILinkOwner
from tunnelcloud.link.joining import JoinServer
from tunnelcloud.link.requests import DISMISS, PODS, RENEW, Hello
from tunnelcloud.link.tls import LinkTLS, PodTLS
from tunnelcloud.link.transport import LinkTransportFactory
from tunnelcloud.net.source_limits import FloodControl, FloodLimits
from tunnelcloud.pki.authority import CertificateAuthority, public_key_fingerprint
from tunnelcloud.pki.authority_rotation import Authorities
from tunnelcloud.pki.signing_requests import make_request, new_private_key
from tunnelcloud.pod.connector_certificates import Joining
from tunnelcloud.pod.connector_listener import connector_listener
from tunnelcloud.pod.link_owner import Attendant
from tunnelcloud.pod.links import ILinksListener, Links

AUTHORITY = CertificateAuthority.create(now())
LIFETIME = timedelta(days=30)
GRACE = timedelta(days=10)
_NO_LIMITS = FloodLimits(start=1000, full=1000, per_source=1000, threshold=10**6)


@implementer(ILinksListener)
class Hearer:
    """Keeps what the registry of links tells."""

    def __init__(self):
        self.heard = []

    def connector_attached(self, connector, version):
        self.heard.append(("attached", connector.name, version))

    def connector_detached(self, connector, reason):
        self.heard.append(("detached", connector.name, reason))

    def connector_cloned(self, connector, reason):
        self.heard.append(("cloned", connector.name, reason))


@implementer(ILinkOwner)
class FakeConnector:
    """The other end of a link: accepts every pod, keeps what it is asked."""

    def __init__(self):
        self.requests = []
        self.channels = []
        self.lost = []
        self.ready = False
        self.refused = set()

    def link_refusal(self, link, certificate):
        return None

    def link_ready(self, link):
        self.ready = True

    def link_lost(self, link, reason):
        self.lost.append(reason)

    def channel_requested(self, link, channel, channel_type, data):
        self.channels.append(channel)
        channel.user = End()
        channel.confirm()

    def keep(self, name):
        def handler(link, document):
            self.requests.append((name, document))
            return None if name in self.refused else {}

        return handler


class Door:
    """All of the pod that connectors meet."""

    def __init__(self, flood_limits=None):
        self.time = now()
        self.handled = {PODS, RENEW, DISMISS}
        self.clock = Clock()
        self.pod_addresses = [PublicAddress("pod.example", 8443)]
        self.registry = MemoryRegistry(lambda: self.time)
        self.authorities = Authorities(AUTHORITY)
        self.links = Links()
        self.hearer = Hearer()
        self.links.listen(self.hearer)
        self.joining = Joining(
            lambda: self.authorities,
            self.registry,
            LIFETIME,
            lambda: self.pod_addresses,
            lambda: self.time,
            GRACE,
        )
        self.attendant = Attendant(
            self.links,
            self.registry,
            self.joining,
            lambda: self.pod_addresses,
            lambda: self.time,
            self.clock,
        )
        self.budget = CreditBudget()
        self.flood = FloodControl(self.clock, lambda: 0.5, flood_limits or _NO_LIMITS)
        self.factory = connector_listener(
            PodTLS(lambda: self.authorities, now),
            self._make_link,
            self._make_join_server,
            self.clock,
            self.flood,
        )
        self._pumps = []

    def _make_link(self):
        return protocol.LinkProtocol(
            protocol.End.POD,
            Hello("pod-1", "0.1"),
            self.attendant,
            self.clock,
            account=self.budget.account(),
            handlers=self.attendant.handlers,
        )

    def _make_join_server(self):
        return JoinServer(self.joining.answer)

    def enrol(self, number=1, site_id="sit_1", key=None):
        """Make a connector with a certificate; give its key and its TLS end."""
        connector = make_connector(number, site_id)
        self.registry.create(connector)
        key = key or new_private_key()
        request = make_request(key)
        issued = AUTHORITY.sign_request(request, connector.id, self.time, LIFETIME)
        self.registry.record_certificate(
            connector.id, issued.serial, public_key_fingerprint(request), issued.not_after
        )
        return key, LinkTLS(AUTHORITY.certificate_pem, issued.pem, key)

    def connect(self, creator, protocol, host="192.0.2.1"):
        """Let a client come in; give its TLS transport."""
        wrapped = LinkTransportFactory(creator, True, _Once(protocol), self.clock).buildProtocol(
            None
        )
        server = self.factory.buildProtocol(IPv4Address("TCP", host, 1))
        if server is None:
            return None
        self._pumps.append(
            iosim.connect(
                server,
                iosim.FakeTransport(server, True),
                wrapped,
                iosim.FakeTransport(wrapped, False),
                greet=False,
            )
        )
        self.run()
        return wrapped

    def link(self, tls, version="0.2", instance=""):
        """Let a connector hold a link; give its end and what hears of it."""
        owner = FakeConnector()
        handlers = {name: owner.keep(name) for name in self.handled}
        link = protocol.LinkProtocol(
            protocol.End.CONNECTOR,
            Hello("paris-1", version, instance=instance),
            owner,
            self.clock,
            account=CreditBudget().account(),
            handlers=handlers,
        )
        self.connect(tls, link)
        return link, owner

    def silence(self):
        """Let nothing more arrive of those that came so far."""
        self._pumps.clear()

    def run(self):
        """Let everything arrive."""
        quiet = 0
        while quiet < 3:
            moved = [pump.pump() for pump in self._pumps]
            self.clock.advance(0)
            quiet = 0 if any(moved) else quiet + 1


class _Once:
    """A factory of one protocol."""

    noisy = False

    def __init__(self, protocol):
        self._protocol = protocol

    def doStart(self):
        pass

    def doStop(self):
        pass

    def buildProtocol(self, addr):
        return self._protocol


SITE = "sit_1"


class DoorCase(SynchronousTestCase):
    def setUp(self):
        self.door = Door()
        self.links = self.door.links

    def names(self, *numbers):
        return [f"paris-{number}" for number in numbers]

    def attach(self, number=1, site_id=SITE, times=1):
        _, tls = self.door.enrol(number, site_id)
        return [self.door.link(tls) for _ in range(times)]

    def open(self, link):
        link.multiplexer.open_channel(b"direct-tcpip", b"", End())
        self.door.run()

    def picked(self, **options):
        link = self.links.pick(SITE, **options)
        return link and link.connector_id

"""A pod's listener and connectors in one reactor: what tests of links have in common."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.link.tls_wires import only
from tests.pod.registries import MemoryRegistry, make_connector
from tunnelcloud.channels.interfaces import IChannelUser
from tunnelcloud.channels.messages import DirectTcpip
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.connector.allowed_targets import parse_access_list
from tunnelcloud.connector.service import ConnectorService
from tunnelcloud.connector.state import ConnectorState
from tunnelcloud.domain.join_tokens import JoinToken
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.joining import JoinServer
from tunnelcloud.link.protocol import End, LinkProtocol
from tunnelcloud.link.requests import Hello
from tunnelcloud.link.tls import PodTLS
from tunnelcloud.net.source_limits import FloodControl
from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.pod.connector_certificates import Joining
from tunnelcloud.pod.connector_listener import connector_listener
from tunnelcloud.pod.link_owner import Attendant
from tunnelcloud.pod.links import ILinksListener, Links

HOST = "127.0.0.1"
SITE = "sit_1"


def now():
    return datetime.now(UTC)


def until(happened):
    """Fire once ``happened()`` is true; the test's own timeout bounds the wait."""
    looping = LoopingCall(lambda: happened() and looping.stop())
    return looping.start(0.005)


@implementer(ILinksListener)
class Hearer:
    def __init__(self):
        self.heard = []

    def connector_attached(self, connector, version):
        self.heard.append(("attached", connector.id))

    def connector_detached(self, connector, reason):
        self.heard.append(("detached", connector.id, reason))

    def connector_cloned(self, connector, reason):
        pass


class Pod:
    """What of a pod meets connectors."""

    def __init__(self, authority, registry, lifetime=timedelta(days=30)):
        self.authority = authority
        self.registry = registry
        self.addresses = []
        self.links = Links()
        self.hearer = Hearer()
        self.links.listen(self.hearer)
        self.joining = Joining(
            only(authority), registry, lifetime, lambda: self.addresses, now, timedelta(days=30)
        )
        self.attendant = Attendant(
            self.links, registry, self.joining, lambda: self.addresses, now, reactor
        )
        self.budget = CreditBudget()

    def start(self, port=0):
        factory = connector_listener(
            PodTLS(only(self.authority), now),
            self._make_link,
            lambda: JoinServer(self.joining.answer),
            reactor,
            FloodControl(reactor, lambda: 0.5),
        )
        self.port = reactor.listenTCP(port, factory, interface=HOST)
        self.address = PublicAddress(HOST, self.port.getHost().port)
        self.addresses.append(self.address)
        return self

    async def stop(self):
        """As when the process is killed."""
        await maybeDeferred(self.port.stopListening)
        for link in self.links.attached:
            link.protocol.transport.abortConnection()
        await until(lambda: not self.links.attached)

    def _make_link(self):
        return LinkProtocol(
            End.POD,
            Hello("pod-1", "0.1"),
            self.attendant,
            reactor,
            account=self.budget.account(),
            handlers=self.attendant.handlers,
        )


@implementer(IChannelUser)
class Stream:
    """A client's side of a channel, in a few words."""

    def __init__(self):
        self.received = b""
        self.eof = False
        self.is_open = False
        self.failure = None
        self.end = None

    def opened(self):
        self.is_open = True

    def open_failed(self, reason_code, description):
        self.failure = (reason_code, description)

    def data_received(self, data):
        self.received += data
        self.channel.consumed(len(data))

    def eof_received(self):
        self.eof = True

    def peer_closed(self):
        pass

    def request_received(self, request_type, data):
        return False

    def drained(self, count):
        pass

    def closed(self, clean, reason):
        self.end = (clean, reason)


class Echo(Protocol):
    def connectionMade(self):
        self.factory.connections.append(self)

    def dataReceived(self, data):
        self.transport.write(data)


class LinksCase(TestCase):
    """A pod's listener, and connectors that are started at will."""

    timeout = 30

    def setUp(self):
        self.authority = CertificateAuthority.create(now())
        self.registry = MemoryRegistry(now)
        self.fatal = []
        self.services = []
        self.echo = Factory.forProtocol(Echo)
        self.echo.connections = []
        self.echo_port = reactor.listenTCP(0, self.echo, interface=HOST)
        self.addCleanup(self.echo_port.stopListening)
        self.pod = self.start_pod()

    def start_pod(self, port=0, **options):
        pod = Pod(options.pop("authority", self.authority), self.registry, **options).start(port)
        self.addCleanup(pod.stop)
        return pod

    def start_other_pod(self):
        """Start another pod of the same cluster: both announce the same addresses."""
        pod = self.start_pod()
        self.pod.addresses.append(pod.address)
        pod.addresses = self.pod.addresses
        return pod

    def token(self, number=1, secret=None, pod=None):
        """Let an admin make a connector and its join token."""
        pod = pod or self.pod
        secret = secret or random.randbytes(20)
        self.registry.create(make_connector(number))
        self.registry.create_join_token(f"con_{number}", secret)
        return JoinToken(pod.address, pod.authority.pin, secret)

    def connector(self, token, directory=None, allow=(HOST,), **options):
        state = ConnectorState(Path(directory or self.mktemp()))
        service = ConnectorService(
            reactor,
            state,
            token,
            parse_access_list(allow, []),
            version="0.1",
            now=now,
            random=lambda: 0.0,
            give_up=self.fatal.append,
            **options,
        )
        self.services.append(service)
        self.addCleanup(self.stop, service)
        service.startService()
        return service

    async def stop(self, service):
        if service.running:
            for connection in self.echo.connections:
                connection.transport.abortConnection()
            await maybeDeferred(service.stopService)

    async def attached(self, links=2, pod=None):
        await until(lambda: len((pod or self.pod).links.attached) == links)

    async def open(self, link=None, port=None):
        stream = Stream()
        data = DirectTcpip(HOST.encode(), port or self.echo_port.getHost().port).encode()
        link = link or self.pod.links.pick(SITE)
        stream.channel = link.multiplexer.open_channel(b"direct-tcpip", data, stream)
        await until(lambda: stream.is_open or stream.failure)
        return stream

    async def assert_echoes(self, stream, text=b"hello"):
        stream.received = b""
        stream.channel.write(text)
        await until(lambda: stream.received == text)

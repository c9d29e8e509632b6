"""A pod and a connector reduced to the path of a byte: front door, splice, link, target stream.

C{python -m benchmarks.bare pod DIR SSH_PORT LINK_PORT} and C{… connector DIR LINK_PORT}; the pod
leaves the connector's certificate in DIR and listens for users once the connector is attached.
"""

import cProfile
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.conch.ssh.keys import Key
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from twisted.internet.defer import succeed
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Factory
from twisted.logger import globalLogBeginner, textFileLogObserver
from zope.interface import implementer

from benchmarks.processes import HOST
from tunnelcloud import pki
from tunnelcloud.channels.messages import OPEN_CONNECT_FAILED, DirectTcpip
from tunnelcloud.channels.splice import ISpliceOwner, Splice
from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.link.interfaces import ILinkOwner
from tunnelcloud.link.protocol import End, LinkProtocol
from tunnelcloud.link.requests import Hello
from tunnelcloud.link.tcp import TargetStream
from tunnelcloud.link.tls import LinkTLS, PodTLS
from tunnelcloud.link.transport import LinkTransportFactory
from tunnelcloud.ssh.checkers import KeyChecker
from tunnelcloud.ssh.factory import FrontDoorFactory
from tunnelcloud.ssh.flood import FloodControl, read_networks
from tunnelcloud.ssh.interfaces import IAccess, ISessionAvatar
from tunnelcloud.ssh.limits import Limits


def now():
    return datetime.now(UTC)


@implementer(IAccess)
class Everybody:
    """Lets in whoever has a key."""

    def offer_key(self, attempt, key_blob):
        return succeed(True)

    def login_with_key(self, attempt, key_blob):
        return succeed("session")


@implementer(ISessionAvatar, ISpliceOwner, IRealm)
class Everything:
    """Splices every forward to the link that has least to do."""

    def __init__(self, links):
        self.links = links

    def requestAvatar(self, avatar_id, mind, *interfaces):
        return ISessionAvatar, self, lambda: None

    def attached(self, connection):
        pass

    def logged_out(self, reason):
        pass

    def direct_tcpip_requested(self, channel, host, port, originator):
        link = min(self.links.ready, key=lambda each: each.channel_count)
        Splice(channel, self).connect(
            link.multiplexer, b"direct-tcpip", DirectTcpip(host, port).encode()
        )

    def splice_connected(self, splice):
        pass

    def splice_refused(self, splice, reason_code, description):
        splice.refuse(reason_code, description)

    def splice_ended(self, splice, clean, reason):
        pass


@implementer(ILinkOwner)
class Links:
    """Takes every link."""

    def __init__(self, on_ready=lambda: None):
        self.ready = []
        self._on_ready = on_ready

    def link_refusal(self, link, certificate):
        return None

    def link_ready(self, link):
        self.ready.append(link)
        self._on_ready()

    def link_lost(self, link, reason):
        self.ready.remove(link)

    def channel_requested(self, link, channel, channel_type, data):
        wanted = DirectTcpip.decode(data)

        class Waiting:
            def closed(self, clean, reason):
                dialled.cancel()

        channel.user = Waiting()
        endpoint = HostnameEndpoint(reactor, wanted.host, wanted.port)
        dialled = connectProtocol(endpoint, TargetStream(channel))
        dialled.addErrback(lambda failure: channel.refuse(OPEN_CONNECT_FAILED, "refused"))


def pod(directory, ssh_port, link_port):
    authority = pki.CertificateAuthority.create(now())
    key = pki.new_private_key()
    issued = authority.sign_request(pki.make_request(key), "con_1", now(), timedelta(days=1))
    for name, pem in (("ca", authority.certificate_pem), ("cert", issued.pem), ("key", key)):
        (directory / f"{name}.pem").write_bytes(pem)
    budget = CreditBudget()

    def listen_for_users():
        if len(links.ready) == 1:
            reactor.listenTCP(ssh_port, factory, interface=HOST, backlog=512)

    links = Links(listen_for_users)
    avatar = Everything(links)
    access = Everybody()
    factory = FrontDoorFactory(
        portal=Portal(avatar, [KeyChecker(access)]),
        access=access,
        host_keys=[Key(ed25519.Ed25519PrivateKey.generate())],
        clock=reactor,
        flood=FloodControl(reactor, lambda: 0.5, exempt=read_networks([f"{HOST}/32"])),
        budget=budget,
        limits=Limits(forwards=10_000),
    )
    account = budget.account()
    ends = Factory.forProtocol(
        lambda: LinkProtocol(
            End.POD, Hello("pod", "0"), links, reactor, account=account, handlers={}
        )
    )
    wrapped = LinkTransportFactory(PodTLS(authority, now), False, ends)
    reactor.listenTCP(link_port, wrapped, interface=HOST)


def connector(directory, link_port):
    tls = LinkTLS(*((directory / f"{name}.pem").read_bytes() for name in ("ca", "cert", "key")))
    links = Links()
    account = CreditBudget().account()
    ends = Factory.forProtocol(
        lambda: LinkProtocol(
            End.CONNECTOR, Hello("site", "0"), links, reactor, account=account, handlers={}
        )
    )
    for _ in range(2):
        HostnameEndpoint(reactor, HOST, link_port).connect(LinkTransportFactory(tls, True, ends))


def main():
    role, directory, *ports = sys.argv[1:]
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    {"pod": pod, "connector": connector}[role](Path(directory), *map(int, ports))
    profile = os.environ.get("BENCH_PROFILE")
    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(reactor.run)
        profiler.dump_stats(f"{profile}.{role}")
    else:
        reactor.run()


if __name__ == "__main__":
    main()

"""The way out of the site: straight to a pod, or through the company's proxy.

Knows endpoints and proxies, and not what a connection is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tunnelcloud.connector.interfaces import IConnectorReactor
from tunnelcloud.domain.proxy_choice import Proxy, proxy_from
from tunnelcloud.domain.proxy_dialogue import (
    ANSWER_SECONDS,
    ProxyRefused,
    dialogue_with,
    hung_up,
    no_answer,
)
from tunnelcloud.domain.ssh_command import PublicAddress

DIRECTLY = "directly"


@frozen
class Outgoing:
    """Chooses the way to each pod, and connects.

    :ivar proxy: by which all connections go; None to look into the environment.
    """

    reactor: IConnectorReactor
    proxy: Proxy | None = None
    environment: Mapping[str, str] = field(factory=dict, repr=False)

    def check(self) -> None:
        """Check the environment's variables, before anything starts.

        :raise BadProxy: one can't.
        """
        self.proxy_for(PublicAddress("pod.invalid", 443))

    def proxy_for(self, pod: PublicAddress) -> Proxy | None:
        """Give the proxy on the way to a pod; None for a direct way.

        :raise BadProxy: a variable of the environment can't be used.
        """
        return self.proxy or proxy_from(self.environment, pod.host, pod.port)

    def way_to(self, pod: PublicAddress) -> str:
        """Describe for people how a pod is reached."""
        proxy = self.proxy_for(pod)
        return DIRECTLY if proxy is None else f"through the proxy {proxy}"

    def connect(self, pod: PublicAddress, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect to a pod.

        :return: fires with the factory's protocol; fails with :exc:`ProxyRefused`, or with what
            kept the pod or the proxy from being reached.
        """
        proxy = self.proxy_for(pod)
        where = pod if proxy is None else PublicAddress(proxy.host, proxy.port)
        endpoint: Any = HostnameEndpoint(self.reactor, where.host, where.port)
        if proxy is None:
            return endpoint.connect(factory)  # type: ignore[no-any-return]
        if proxy.scheme == "https":
            endpoint = _spoken_to_by_tls(endpoint, proxy)
        through = _Through(proxy, pod, factory, self.reactor)
        talking = Factory.forProtocol(through.talk)
        talking.noisy = False
        connecting: Deferred[_Talking] = endpoint.connect(talking)
        connecting.addErrback(_unreachable, proxy)
        return connecting.addCallback(lambda talker: talker.finished)


def _unreachable(failure: Failure, proxy: Proxy) -> Failure:
    why = failure.getErrorMessage().rstrip(".")
    return Failure(ProxyRefused(f"the proxy {proxy} can't be reached: {why}"))


def _spoken_to_by_tls(endpoint: Any, proxy: Proxy) -> Any:
    from twisted.internet.endpoints import wrapClientTLS

    from tunnelcloud.net.outgoing_tls import tls_to

    return wrapClientTLS(tls_to(proxy.host), endpoint)


@frozen
class _Through:
    """The purpose of a dialogue with a proxy."""

    proxy: Proxy
    pod: PublicAddress
    factory: IProtocolFactory
    reactor: IConnectorReactor

    def talk(self) -> _Talking:
        return _Talking(self)


class _Talking(Protocol):
    """A connection to a proxy, until it carries another."""

    transport: Any  # a TCP or a TLS transport; no interface says all that is used of it
    _timer: IDelayedCall

    def __init__(self, through: _Through) -> None:
        self.finished: Deferred[IProtocol] = Deferred(lambda _: self._give_up())
        pod = through.pod
        self._through = through
        self._dialogue = dialogue_with(through.proxy, pod.host, pod.port)
        self._inner: IProtocol | None = None
        self._over = False

    def connectionMade(self) -> None:
        self._timer = self._through.reactor.callLater(ANSWER_SECONDS, self._is_silent)
        self.transport.write(self._dialogue.begin())

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        try:
            answer = self._dialogue.feed(data)
        except ProxyRefused as refusal:
            self._fail(refusal)
            return
        if answer:
            self.transport.write(answer)
        if self._dialogue.open and not self._over:
            self._hand_over()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        else:
            pod = self._through.pod
            self._fail(ProxyRefused(hung_up(self._through.proxy, pod.host, pod.port)))

    def _hand_over(self) -> None:
        """Put the wanted protocol into this one's place; it doesn't notice the proxy."""
        self._timer.cancel()
        address: IAddress = self.transport.getPeer()
        inner = self._through.factory.buildProtocol(address)
        if inner is None:
            self._fail(ProxyRefused("the connection isn't wanted any more"))
            return
        if self._through.proxy.scheme == "https":
            self._inner = inner
            inner.makeConnection(_CarriedByTLS(self.transport))  # type: ignore[arg-type]
        else:
            self.transport.protocol = inner
            inner.makeConnection(self.transport)
        if self._dialogue.rest:
            inner.dataReceived(self._dialogue.rest)
        self._over = True
        self.finished.callback(inner)

    def _is_silent(self) -> None:
        pod = self._through.pod
        self._fail(ProxyRefused(no_answer(self._through.proxy, pod.host, pod.port)))

    def _fail(self, why: ProxyRefused) -> None:
        if not self._over:
            self._give_up()
            self.finished.errback(why)

    def _give_up(self) -> None:
        self._over = True
        if self._timer.active():
            self._timer.cancel()
        self.transport.abortConnection()


class _CarriedByTLS:
    """The transport of a connection inside the TLS to a proxy.

    It shows nothing of the socket below, for what is written there without that TLS would break
    it: Twisted's own wrapper lends all that its transport has.
    """

    def __init__(self, transport: Any) -> None:
        self.write = transport.write
        self.writeSequence = transport.writeSequence
        self.loseConnection = transport.loseConnection
        self.abortConnection = transport.abortConnection
        self.registerProducer = transport.registerProducer
        self.unregisterProducer = transport.unregisterProducer
        self.getPeer = transport.getPeer
        self.getHost = transport.getHost

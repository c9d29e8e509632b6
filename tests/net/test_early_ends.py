"""Servers that end the connection, or say nothing, before they have read a request's body."""

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from tests.pod.certificates import write_certificate
from tunnelcloud.net import http_fetch
from tunnelcloud.net.bounded_connections import OneConnection, bounded_agent
from tunnelcloud.net.fetching import FetchFailed
from tunnelcloud.net.http_fetch import HttpFetch
from tunnelcloud.net.outgoing_tls import HttpsPolicy
from tunnelcloud.net.trusted_authorities import trusted
from tunnelcloud.sinks.interfaces import DeliveryFailed
from tunnelcloud.sinks.webhook import WebhookOutlet

BODIES = (None, b"x" * 100, b"x" * 3_000_000)


class Closing(Protocol):
    """Closes at once: to TLS, before the handshake."""

    def connectionMade(self):
        self.factory.connections.append(self.transport)
        self.transport.abortConnection()


class Silent(Protocol):
    """Never says a word."""

    def connectionMade(self):
        self.factory.connections.append(self.transport)


class EarlyEndTests(TestCase):
    timeout = 60

    def setUp(self):
        directory = Path(self.mktemp())
        directory.mkdir()
        self.ca = directory / "certificate.pem"
        write_certificate(self.ca, directory / "key.pem", "localhost")
        self.patch(http_fetch, "_SECONDS", 0.5)

    def listen(self, protocol):
        """Start a server; give its address, of HTTPS and of HTTP."""
        server = Factory.forProtocol(protocol)
        server.connections = []
        port = reactor.listenTCP(0, server, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: [one.abortConnection() for one in server.connections])
        return [f"{scheme}://localhost:{port.getHost().port}/" for scheme in ("https", "http")]

    async def _fetch(self, protocol, words):
        for address in self.listen(protocol):
            for body in BODIES:
                method = "GET" if body is None else "POST"
                try:
                    await HttpFetch(reactor, trusted(self.ca))(method, address, {}, body)
                except FetchFailed as failed:
                    self.assertIn(words, str(failed))
                else:
                    self.fail(f"{method} {address} had an answer")

    def test_a_server_that_closes_at_once(self):
        return Deferred.fromCoroutine(self._fetch(Closing, "it hung up before it had answered"))

    def test_a_server_that_says_nothing(self):
        return Deferred.fromCoroutine(self._fetch(Silent, "no answer within"))

    async def _post(self):
        for address in self.listen(Closing):
            try:
                await self.sent(address)
            except DeliveryFailed as failed:
                self.assertIn("Connection to the other side was lost", str(failed))
                self.assertNotIn("Failure", str(failed))
            else:
                self.fail("it was taken")

    def sent(self, address):
        pool = OneConnection(reactor)
        agent = bounded_agent(reactor, HttpsPolicy(trusted(self.ca)), 1000, pool)
        outlet = WebhookOutlet(address, b"secret", agent, lambda: 0, pool.hang_up)
        self.addCleanup(outlet.reopen)
        return outlet.send([b"x" * 300_000])

    def test_a_webhook_that_closes_at_once(self):
        return Deferred.fromCoroutine(self._post())

    async def _give_up(self):
        for address in self.listen(Silent):
            sending = self.sent(address)
            reactor.callLater(0.5, sending.cancel)
            try:
                await sending
            except CancelledError:
                pass  # the delivery says that there was no answer in time
            else:
                self.fail("it was taken")

    def test_a_webhook_that_says_nothing(self):
        return Deferred.fromCoroutine(self._give_up())

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.connector.reactors import NetworkReactor
from tunnelcloud.connector.outgoing import DIRECTLY, Outgoing
from tunnelcloud.domain.proxy_choice import BadProxy, Proxy
from tunnelcloud.domain.proxy_dialogue import ANSWER_SECONDS, ProxyRefused
from tunnelcloud.domain.ssh_command import PublicAddress

POD = PublicAddress("192.0.2.1", 8443)
PROXY = Proxy("http", "198.51.100.7", 3128, "ann", "p@ss")


class OutgoingTests(SynchronousTestCase):
    """The way to a pod through a proxy that does what proxies do; no network."""

    def setUp(self):
        self.reactor = NetworkReactor()

    def connect(self, proxy=PROXY):
        self.inner = Protocol()
        factory = Factory.forProtocol(lambda: self.inner)
        connecting = Outgoing(self.reactor, proxy).connect(POD, factory)
        self.reactor.advance(0)
        self.transport = StringTransport()
        self.talking = self.reactor.tcpClients[0][2].buildProtocol(None)
        self.talking.makeConnection(self.transport)
        return connecting

    def refusal(self, connecting):
        return self.failureResultOf(connecting, ProxyRefused).getErrorMessage()

    def test_the_connection_is_the_pods_once_the_proxy_has_agreed(self):
        connecting = self.connect()
        self.assertIn(b"CONNECT 192.0.2.1:8443 HTTP/1.1", self.transport.value())
        self.talking.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertIs(self.successResultOf(connecting), self.inner)
        self.assertIs(self.transport.protocol, self.inner)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_one_that_hangs_is_given_up_and_named_without_the_password(self):
        connecting = self.connect()
        self.reactor.advance(ANSWER_SECONDS - 0.1)
        self.assertNoResult(connecting)
        self.reactor.advance(0.1)
        said = self.refusal(connecting)
        self.assertIn("the proxy http://198.51.100.7:3128 didn't answer within", said)
        self.assertIn("192.0.2.1:8443", said)
        self.assertNotIn("p@ss", said)
        self.assertTrue(self.transport.disconnecting)

    def test_one_that_hangs_up(self):
        connecting = self.connect()
        self.talking.connectionLost(Failure(ConnectionDone()))
        self.assertIn("hung up when asked for 192.0.2.1:8443", self.refusal(connecting))

    def test_each_refusal_is_told(self):
        for status, words in (
            (b"407 Proxy Authentication Required", "refuses the user name or the password"),
            (b"403 Forbidden", "CONNECT to port 8443 is not allowed: use 443"),
        ):
            self.reactor = NetworkReactor()
            connecting = self.connect()
            self.talking.dataReceived(b"HTTP/1.1 " + status + b"\r\n\r\n")
            self.assertIn(words, self.refusal(connecting))

    def test_the_environment_counts_where_no_proxy_is_set(self):
        environment = {"HTTPS_PROXY": "http://proxy.corp:3128", "NO_PROXY": "192.0.2.0/24"}
        outgoing = Outgoing(self.reactor, None, environment)
        self.assertEqual(outgoing.way_to(POD), DIRECTLY)
        far = PublicAddress("pod.example.com", 8443)
        self.assertEqual(outgoing.way_to(far), "through the proxy http://proxy.corp:3128")
        set_one = Outgoing(self.reactor, PROXY, environment)
        self.assertEqual(set_one.way_to(POD), "through the proxy http://198.51.100.7:3128")
        wrong = Outgoing(self.reactor, None, {"ALL_PROXY": "socks4://proxy"})
        self.assertRaises(BadProxy, wrong.check)

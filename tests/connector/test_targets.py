from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase

from tests.channels.wires import End, Pair
from tests.connector.reactors import NetworkReactor
from tests.logs import logged
from tunnelcloud.channels.messages import DirectTcpip
from tunnelcloud.connector.allowed_targets import AccessList
from tunnelcloud.connector.dialer import CONNECT_TIMEOUT, Dialer
from tunnelcloud.connector.targets import Targets
from tunnelcloud.net.resolver import ThreadedResolver

WISH = DirectTcpip(b"10.0.0.5", 5432).encode()


class TargetsTests(SynchronousTestCase):
    def setUp(self):
        self.reactor = NetworkReactor()
        resolver = ThreadedResolver(self.reactor)
        self.dialer = Dialer(self.reactor, AccessList(), resolver)
        self.targets = Targets(self.dialer, self.reactor)
        self.pair = Pair()

    def ask(self, channel_type=b"direct-tcpip", data=WISH):
        """Let a pod ask for a channel."""
        end = End()
        end.channel = self.pair.a.open_channel(channel_type, data, end)
        self.pair.users[1].on_open = lambda channel: self.targets.open(channel, channel_type, data)
        self.pair.settle()
        return end

    def accept(self):
        protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
        if protocol is not None:
            transport = StringTransportWithDisconnection()
            transport.protocol = protocol
            protocol.makeConnection(transport)
        self.pair.settle()
        return protocol

    def test_confirmed_only_when_the_target_is_connected(self):
        end = self.ask()
        self.assertEqual(self.reactor.tcpClients[0][:2], ("10.0.0.5", 5432))
        self.assertFalse(end.is_open)
        target = self.accept()
        self.assertTrue(end.is_open)
        target.dataReceived(bytes(8))
        end.write(8)
        self.pair.settle()
        self.assertEqual(end.received, 8)
        self.assertEqual(target.transport.value(), bytes(8))

    def test_a_refusal_is_a_code(self):
        end = self.ask()
        self.reactor.refuse(-1)
        self.pair.settle()
        self.assertEqual(end.failure, (2, "refused"))
        self.reactor.advance(CONNECT_TIMEOUT)

    def test_the_log_says_by_what_it_was_denied(self):
        told = logged(lambda: self.ask(data=DirectTcpip(b"127.0.0.1", 80).encode()))
        self.assertIn("port 80: not allowed by the allow and deny lists in connector.toml", told)

    def test_other_types_and_hosts_that_are_none(self):
        self.assertEqual(self.ask(b"session", b"").failure, (3, "failed"))
        for host in (b"\xff\xfe", b"", b"a b", b"x" * 300):
            wish = DirectTcpip(host, 80).encode()
            self.assertEqual(self.ask(data=wish).failure, (2, "name-not-found"), host)
        self.assertEqual(self.ask(data=DirectTcpip(b"127.0.0.1", 80).encode()).failure[1], "denied")
        self.assertEqual(self.reactor.wanted, [])

    def test_a_malformed_wish_ends_the_link(self):
        self.ask(data=WISH[:-1])
        self.assertNotEqual(self.pair.wires[1].ended, "")

    def test_a_link_lost_while_dialling_gives_up(self):
        self.ask()
        self.pair.lose()
        self.assertIsNone(self.accept())
        self.assertEqual(self.dialer.connections, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_pod_that_gives_up_while_dialling(self):
        end = self.ask()
        end.channel.close("timeout")
        target = self.accept()
        self.assertFalse(target.transport.connected)

    def test_stopping(self):
        self.targets.stopping = True
        self.assertEqual(self.ask().failure, (4, "draining"))

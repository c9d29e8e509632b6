"""How many writes the life of a channel costs on each wire: system calls are half of its price."""

from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.link.links import LinkPair
from tests.ssh.client import Client
from tests.ssh.transport_case import data
from tunnelcloud.channels.messages import DirectTcpip, pack_string
from tunnelcloud.channels.splice import ISpliceOwner, Splice
from tunnelcloud.link.read_ahead import DEFAULT_TOTAL, ReadAhead
from tunnelcloud.link.tcp import TargetStream


class Target(StringTransport):
    """The socket of a target that says at once that it has all."""

    def loseWriteConnection(self):
        self.protocol.writeConnectionLost()

    def unregisterProducer(self):
        """Allow what a socket allows: there may be none."""
        if self.producer is not None:
            super().unregisterProducer()


@implementer(ISpliceOwner)
class Owner:
    def __init__(self):
        self.ends = []

    def splice_connected(self, splice):
        pass

    def splice_left(self, splice):
        pass

    def splice_ended(self, splice, clean, reason):
        self.ends.append((clean, reason))


class WriteTests(SynchronousTestCase):
    """A client, a pod's two connections joined, a connector's two, and a target."""

    def setUp(self):
        self.pair = LinkPair().start()
        self.client = Client(clock=self.pair.clock).login()
        self.owner = Owner()
        self.client.pod.avatar.direct_tcpip_requested = self.requested
        self.writes = {
            "client": self.counted(self.client.socket),
            "link": self.counted(self.pair.server_wire),
            "link, back": self.counted(self.pair.client_wire),
        }

    def counted(self, transport):
        """Keep how much each write of a transport brings."""
        sizes = []
        write = transport.write
        self.patch(transport, "write", lambda data: (sizes.append(len(data)), write(data)))
        return sizes

    def requested(self, channel, host, port, originator):
        Splice(channel, self.owner).connect(self.pair.pod.multiplexer, b"direct-tcpip", b"")

    def settle(self):
        # Time passes between what people do, and none between messages that follow each other.
        self.pair.clock.advance(0.01)
        self.pair.run()
        self.pair.clock.advance(0.01)

    def send(self, *payloads):
        self.client.write(b"".join(map(self.client.seal, payloads)))
        self.settle()

    def open(self):
        """Open a channel as far as a target that is there."""
        wish = DirectTcpip(b"db", 5432, b"127.0.0.1", 1).encode()
        head = (0).to_bytes(4) + (1 << 20).to_bytes(4) + (1 << 15).to_bytes(4)
        self.send(b"\x5a" + pack_string(b"direct-tcpip") + head + wish)
        channel = self.pair.connector_owner.asked[-1][0]
        self.target = Target()
        self.stream = TargetStream(channel, self.pair.clock, ReadAhead(DEFAULT_TOTAL))
        self.target.protocol = self.stream
        self.stream.makeConnection(self.target)
        self.settle()
        self.client.expect(91)

    def assertWrites(self, **most):
        found = {name: len(sizes) for name, sizes in self.writes.items()}
        self.assertEqual(found, {name.replace("_", ", "): count for name, count in most.items()})

    def test_a_whole_life(self):
        self.open()
        self.assertWrites(client=1, link=1, link_back=1)
        self.send(data(b"hello"))
        self.stream.dataReceived(self.target.value())
        self.settle()
        self.assertWrites(client=2, link=2, link_back=2)
        self.send(b"\x60\0\0\0\0")
        self.stream.readConnectionLost()
        self.assertTrue(self.target.disconnecting)
        self.settle()
        # EOF and CLOSE to the client, and EOF, what was taken and CLOSE to the pod.
        self.assertWrites(client=3, link=4, link_back=3)
        self.assertEqual(self.client.read(), [data(b"hello"), b"\x60\0\0\0\0", b"\x61\0\0\0\0"])
        self.send(b"\x61\0\0\0\0")
        self.assertWrites(client=3, link=4, link_back=3)
        self.assertEqual(self.owner.ends, [(True, "")])
        self.assertFalse(self.pair.pod.channel_count or self.pair.connector.channel_count)

    def test_a_client_that_leaves(self):
        self.open()
        self.send(data(b"last words"), b"\x60\0\0\0\0", b"\x61\0\0\0\0")
        self.assertEqual(self.target.value(), b"last words")
        # The words, EOF and that no more is wanted; the answer; and the answer to that.
        self.assertWrites(client=2, link=3, link_back=2)

    def test_a_target_that_resets(self):
        self.open()
        self.stream.connectionLost(Failure(ConnectionError()))
        self.settle()
        self.assertWrites(client=2, link=2, link_back=2)
        self.assertEqual(self.client.read(), [b"\x61\0\0\0\0"])

"""What waits of all targets together is bounded, and costs a fast stream nothing."""

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.channels.wires import End, Pair
from tunnelcloud.link.read_ahead import (
    LARGEST_READ,
    READ_AHEAD,
    SHORT_AHEAD,
    SMALLEST_READ,
    ReadAhead,
)
from tunnelcloud.link.tcp import TargetStream

TOTAL = 8 * READ_AHEAD


class Socket(StringTransport):
    """A target's socket, which gives as much as is wanted of it."""

    bufferSize = 0

    def fill(self, stream):
        """Let the stream read until it wants no more."""
        for _ in range(100):
            if self.producerState != "producing":
                break
            stream.dataReceived(bytes(self.bufferSize or SMALLEST_READ))


class ReadAheadTests(SynchronousTestCase):
    def setUp(self):
        self.pair = Pair(max_channels=1000)
        self.ahead = ReadAhead(TOTAL)

    def stuffed(self):
        """Join a channel that nobody reads to a target that never stops."""
        client = End()
        client.data_received = len  # it keeps what comes, and consumes none of it
        client.channel = self.pair.a.open_channel(b"direct-tcpip", b"", client)
        self.pair.settle()
        stream = TargetStream(self.pair.users[1].asked[-1][0], Clock(), self.ahead)
        sock = Socket()
        stream.makeConnection(sock)
        self.pair.settle()
        sock.fill(stream)
        self.pair.settle()
        sock.fill(stream)
        return client

    def test_many_that_nobody_reads(self):
        """They hold half of the budget, and beyond that a little each."""
        many = 100
        clients = [self.stuffed() for _ in range(many)]
        most = TOTAL // 2 + READ_AHEAD + LARGEST_READ + many * (SHORT_AHEAD + SMALLEST_READ)
        self.assertGreater(self.ahead.held, TOTAL // 2)
        self.assertLessEqual(self.ahead.held, most)
        # All is counted no longer when the channels are over, however they end.
        for client in clients[:50]:
            client.channel.close("enough")
        self.pair.settle()
        self.pair.lose()
        self.assertEqual(self.ahead.held, 0)

    def test_reads_grow_while_they_come_full(self):
        size = SMALLEST_READ
        for _ in range(5):
            size = self.ahead.next_read(size, size)
        self.assertEqual(size, LARGEST_READ)
        self.assertEqual(self.ahead.next_read(size, size // 2), size)
        self.assertEqual(self.ahead.next_read(size, 1), size // 2)
        self.assertEqual(self.ahead.next_read(SMALLEST_READ, 1), SMALLEST_READ)
        self.ahead.take(TOTAL)
        self.assertEqual(self.ahead.next_read(size, size), SMALLEST_READ)

"""What is asked of real TCP sockets."""

import socket

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPushProducer
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tunnelcloud.net.sockets import READ_SIZE, UNSENT_SIZE, acknowledge_now, end_writing, write_now


class Transport:
    def __init__(self, handle):
        self.getHandle = lambda: handle


class AcknowledgeTests(SynchronousTestCase):
    """Nagle's algorithm at a peer waits for what delayed acknowledgement holds back: 40 ms."""

    def test_at_once(self):
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as handle,
        ):
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            acknowledge_now(Transport(handle))
            self.assertTrue(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))
        acknowledge_now(Transport(handle))  # closed meanwhile

    def test_what_is_no_socket(self):
        acknowledge_now(StringTransport())


class SlowDescriptor(FileDescriptor):
    """Takes as many bytes as it has room for."""

    connected = 1
    bufferSize = READ_SIZE
    room = 0

    def __init__(self):
        super().__init__(MemoryReactor())

    def writeSomeData(self, data):
        count = min(len(data), self.room)
        self.room -= count
        return count


@implementer(IPushProducer)
class Producer:
    def __init__(self):
        self.told = []

    def pauseProducing(self):
        self.told.append("pause")

    def resumeProducing(self):
        self.told.append("resume")

    def stopProducing(self):
        self.told.append("stop")


class UnsentTests(SynchronousTestCase):
    def setUp(self):
        self.transport = SlowDescriptor()
        self.producer = Producer()
        self.transport.registerProducer(self.producer, True)

    def test_a_producer_is_paused_before_a_whole_read_is_unsent(self):
        self.transport.room = 1000
        write_now(self.transport, bytes(UNSENT_SIZE + 1000))
        self.assertEqual(self.producer.told, [])
        write_now(self.transport, b"!")
        write_now(self.transport, b"!")
        self.assertEqual(self.producer.told, ["pause"])
        self.transport.room = READ_SIZE
        self.transport.doWrite()
        self.assertEqual(self.producer.told, ["pause", "resume"])

    def test_beyond_a_whole_read_it_is_paused_once(self):
        write_now(self.transport, bytes(READ_SIZE + 1))
        self.assertEqual(self.producer.told, ["pause"])

    def test_nobody_need_produce(self):
        self.transport.unregisterProducer()
        self.assertTrue(write_now(self.transport, bytes(UNSENT_SIZE + 1)))


class EndTests(SynchronousTestCase):
    """FIN follows the last byte: at once, or when the socket has taken it."""

    def setUp(self):
        self.transport = SlowDescriptor()
        self.ends = []
        self.transport._closeWriteConnection = lambda: self.ends.append(self.transport.room)

    def test_at_once(self):
        self.transport.room = 3
        write_now(self.transport, b"bye")
        end_writing(self.transport)
        self.assertEqual(self.ends, [0])
        self.assertEqual(self.transport.reactor.getWriters(), [])
        self.transport.loseConnection()
        self.assertFalse(self.transport.connected and not self.transport.disconnected)

    def test_after_what_waits(self):
        self.transport.room = 2
        write_now(self.transport, b"bye")
        end_writing(self.transport)
        self.assertEqual(self.ends, [])
        self.transport.room = 5
        self.transport.doWrite()
        self.assertEqual(self.ends, [4])

    def test_a_connection_that_is_closing_says_nothing_of_its_own(self):
        self.transport.loseConnection()
        end_writing(self.transport)
        self.assertEqual(self.ends, [])

"""Long answers are handed over as they are read."""

import gc
import weakref

from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.web.support import ApiTestCase
from tunnelcloud.web.http_limits import READING_SECONDS
from tunnelcloud.web.streamed_answers import PIECE, Streaming


class UnreadTransport(StringTransport):
    """A connection whose client reads only when it is told to.

    :ivar unread: how many bytes wait in memory.
    :ivar most: how many ever did.
    """

    unread = most = 0
    aborted = False

    def write(self, data):
        super().write(data)
        self.unread += len(data)
        self.most = max(self.most, self.unread)
        if self.unread > PIECE and self.producer is not None:
            self.producer.pauseProducing()

    def read(self):
        self.unread = 0
        self.producer.resumeProducing()

    def abortConnection(self):
        self.aborted = True
        super().abortConnection()


class LongAnswersTests(ApiTestCase):
    def begin(self):
        transport = UnreadTransport()
        self.channel = self.site.buildProtocol(None)
        self.channel.makeConnection(transport)
        request = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: pod\r\n\r\n"
        self.received(self.channel, request)
        while not transport.value():
            self.reactor.run_one()
        return transport

    def test_little_waits_for_who_reads_nothing(self):
        transport = self.begin()
        self.assertLess(transport.most, 3 * PIECE)
        while not transport.value().endswith(b"}\n"):
            transport.read()
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertGreater(len(body), 3 * PIECE, "it is a long one")
        self.assertIn(b"content-length: %d" % len(body), head.lower())
        self.assertLess(transport.most, 3 * PIECE)
        self.channel.setTimeout(None)

    def test_so_long_may_reading_take(self):
        self.begin()
        self.assertFalse(self.channel._is_closing)
        self.clock.advance(READING_SECONDS)
        self.assertTrue(self.channel._is_closing)
        self.channel.setTimeout(None)

    def test_a_client_that_left_leaves_nothing_for_the_collector(self):
        transport = self.begin()
        channel, lost = weakref.ref(self.channel), Failure(ConnectionLost())
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        self.channel.connectionLost(lost)
        self.channel = transport.producer = None
        while not self.reactor._calls.empty():
            self.reactor.run_one()
        self.assertIsNone(channel())


class _Request:
    """A request whose client reads nothing."""

    channel = None

    def __init__(self):
        self.written = []

    def registerProducer(self, producer, is_push):
        self.producer = producer

    def write(self, chunk):
        self.written.append(chunk)
        self.producer.pauseProducing()


class _Made:
    """What the maker of an answer has in memory."""


class StreamingTests(SynchronousTestCase):
    def test_what_was_made_goes_with_the_client(self):
        kept = []

        async def chunks():
            made = _Made()
            kept.append(weakref.ref(made))
            while True:
                yield b"x"

        request = _Request()
        streaming = Streaming(request, chunks())
        streaming.start()
        self.assertEqual(request.written, [b"x"])
        self.assertIsNotNone(kept[0]())
        streaming.stopProducing()
        self.assertIsNone(kept[0]())
        self.assertEqual(request.written, [b"x"])
        gone = weakref.ref(request)
        gc.disable()
        self.addCleanup(gc.enable)
        del request, streaming
        self.assertIsNone(gone())

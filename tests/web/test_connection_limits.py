from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.web.test_http_limits import Echo
from tunnelcloud.web.http_limits import MAX_CONNECTIONS, LimitedSite

ROOM = MAX_CONNECTIONS - MAX_CONNECTIONS // 8
"""For all but administrators."""


class ConnectionsTests(SynchronousTestCase):
    def setUp(self):
        self.site = LimitedSite(Echo(), Clock())

    def connect(self, host):
        address = IPv4Address("TCP", host, 1)
        channel = self.site.buildProtocol(address)
        if channel is None:
            return None
        channel.makeConnection(StringTransport(peerAddress=address))
        return channel

    def test_a_crowd_keeps_no_other_out(self):
        crowd = [self.connect("192.0.2.1") for _ in range(ROOM - 1)]
        first = self.connect("192.0.2.2")
        self.assertIsNone(self.connect("192.0.2.1"))
        other = self.connect("192.0.2.3")
        other.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"hello", other.transport.value())
        self.assertEqual(
            [one.transport.disconnected for one in (*crowd[:2], first)], [True, False, False]
        )

    def test_an_administrators_connection_stays(self):
        own = self.connect("192.0.2.1")
        own.keep_place()
        crowd = [self.connect("192.0.2.1") for _ in range(ROOM)]
        self.assertIsNotNone(self.connect("192.0.2.2"))
        self.assertTrue(crowd[0].transport.disconnected)
        self.assertFalse(own.transport.disconnected)
        own.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.site.reserved, set())

    def test_the_reserve_is_bounded(self):
        for _ in range(MAX_CONNECTIONS // 8):
            self.connect("192.0.2.1").keep_place()
        beyond = self.connect("192.0.2.1")
        beyond.keep_place()
        self.assertNotIn(beyond, self.site.reserved)

    def test_who_left_makes_room(self):
        crowd = [self.connect("192.0.2.1") for _ in range(ROOM)]
        self.assertIsNone(self.connect("192.0.2.1"))
        crowd[7].connectionLost(Failure(ConnectionDone()))
        self.assertIsNotNone(self.connect("192.0.2.1"))

"""Connections behind a balancer, each handed on as the client's."""

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.pod.test_one_port import Room, Wire
from tests.ssh.test_proxy import header
from tunnelcloud.domain.addresses import read_networks
from tunnelcloud.net.behind_balancer import HEADER_SECONDS, BehindBalancers


class BehindBalancersTests(SynchronousTestCase):
    def setUp(self):
        self.clock, self.room = Clock(), Room()
        networks = read_networks(["192.0.2.0/24"])
        self.factory = BehindBalancers(self.room, networks, self.clock)

    def connect(self, host):
        protocol = self.factory.buildProtocol(IPv4Address("TCP", host, 5000))
        return Wire(protocol, host)

    def test_a_balancer_names_the_client(self):
        for text in (header("198.51.100.9", 77), b"PROXY TCP4 198.51.100.9 192.0.2.9 77 1\r\n"):
            wire = self.connect("192.0.2.9")
            for byte in text:
                wire.client_sends(bytes([byte]))
            wire.client_sends(b"hello")
            behind = self.room.got.pop()
            self.assertEqual(behind.address, IPv4Address("TCP", "198.51.100.9", 77))
            self.assertEqual(behind.transport.getPeer(), behind.address)
            self.assertEqual(behind.received, b"hello")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bytes_behind_the_header_are_not_lost(self):
        wire = self.connect("192.0.2.9")
        wire.client_sends(header("2001:db8::1", 77) + b"hello")
        self.assertEqual(self.room.got[0].received, b"hello")
        self.assertEqual(self.room.got[0].address.host, "2001:db8::1")

    def test_others_are_not_asked(self):
        """Nobody else is believed: a header of theirs is what they said."""
        wire = self.connect("198.51.100.7")
        wire.client_sends(header("192.0.2.1", 77))
        self.assertEqual(self.room.got[0].received, header("192.0.2.1", 77))
        self.assertEqual(self.room.got[0].address.host, "198.51.100.7")

    def test_slow_bad_and_turned_away(self):
        slow = self.connect("192.0.2.9")
        self.clock.advance(HEADER_SECONDS)
        self.assertTrue(slow.disconnecting)
        bad = self.connect("192.0.2.9")
        bad.client_sends(b"PROXY nonsense\r\n")
        self.assertTrue(bad.disconnecting)
        self.room.full = True
        full = self.connect("192.0.2.9")
        full.client_sends(header("198.51.100.9", 77))
        self.assertTrue(full.disconnecting)

"""Which local ports a connection takes, and what is said where one can't be had."""

import errno
import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import tunnel
from tunnelcloud.cli import connect, local_ports
from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.own_tunnels import _forwarding
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.ssh_command import PublicAddress


class LocalPortTests(SynchronousTestCase):
    def setUp(self):
        self.said = []
        self.patch(local_ports, "say", self.said.append)

    def as_ordinary_user(self, *in_use):
        def fault(address, port):
            return errno.EACCES if port < 1024 else errno.EADDRINUSE if port in in_use else 0

        self.patch(local_ports, "_fault", fault)

    def test_a_port_below_1024_becomes_the_next_free_one_above(self):
        self.as_ordinary_user(1025)
        self.assertEqual(local_ports.free_port("127.0.0.1", 443, {1026}), 1027)
        self.assertEqual(
            self.said, ["only an administrator may listen on port 443: another is used"]
        )

    def test_one_that_may_be_used_stays(self):
        self.as_ordinary_user(5432)
        self.assertEqual(local_ports.free_port("127.0.0.1", 5432, set()), 5433)
        self.assertEqual(self.said, [])

    def test_a_chosen_one_that_cant_be_had_says_why(self):
        self.as_ordinary_user(5432)
        for port, words in ((443, "needs an administrator's rights"), (5432, "is in use")):
            told = str(self.assertRaises(Failed, local_ports.check_free, "::1", port))
            self.assertIn(f"[::1]:{port} {words}", told)

    def test_an_address_of_another_machine(self):
        for call in (
            lambda: local_ports.check_free("192.0.2.1", 25432),
            lambda: local_ports.free_port("192.0.2.1", 25432, set()),
        ):
            told = str(self.assertRaises(Failed, call))
            self.assertIn("192.0.2.1:25432 can't be used: this machine doesn't have", told)

    def test_a_port_that_is_listened_on(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.assertFalse(local_ports.is_free(*server.getsockname()))


class RangeTests(SynchronousTestCase):
    def ports(self, port):
        wide = tunnel(ports=((443, 443), (8000, 8100)))
        return [str(ports) for ports in _forwarding(wide, port).target_ports]

    def test_later_ports_of_a_range(self):
        self.assertEqual(self.ports(8050), ["443", "8000-8100", "8050"])
        self.assertEqual(self.ports(8001), ["443", "8000-8100"])
        told = str(self.assertRaises(Failed, self.ports, 8101))
        self.assertIn("port 8101 is not published (443, 8000-8100 is)", told)


class ListeningTests(SynchronousTestCase):
    def test_nothing_runs_before_every_port_is_listened_on(self):
        way = Way(tunnel(), "alice", Method.KEY, PublicAddress("pod.example.com", 2222))
        for free in (False, True):
            self.patch(connect, "is_free", lambda address, port, free=free: free)
            if free:
                told = str(self.assertRaises(Failed, connect._check_listening, way))
                self.assertIn("ssh could not listen at 127.0.0.1:5432", told)
            else:
                connect._check_listening(way)

"""Each test of every room is held to the ports that it was given."""

import socket

from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from tests.given_ports import FIRST_GIVEN, NotGiven
from tests.integration.processes import free_port


class GivenPortTests(SynchronousTestCase):
    def test_a_port_of_its_own_choice(self):
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", 1)),
            (socket.AF_INET6, ("::1", 8443, 0, 0)),
        ):
            with socket.socket(family) as one:
                self.assertRaises(NotGiven, one.bind, address)

    def test_twisteds_listeners(self):
        self.assertRaises(NotGiven, reactor.listenTCP, 1, Factory(), interface="127.0.0.1")

    def test_given_ones(self):
        port = free_port()
        self.assertGreaterEqual(port, FIRST_GIVEN)
        for given in (0, port):
            with socket.socket() as one:
                one.bind(("127.0.0.1", given))

    def test_a_path(self):
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(self.mktemp())

"""What is asked of real TCP sockets."""

import socket

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.link.sockets import acknowledge_now


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

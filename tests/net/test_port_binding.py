"""Several pods of one machine answer on one port."""

import socket
import sys
from pathlib import Path

from twisted.internet import reactor, ssl
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from tests.pod.certificates import write_certificate
from tunnelcloud.daemon import CannotServe
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.net.port_binding import ACCEPTS_A_TURN, BACKLOG, Binder
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.pod.bound_ports import Listeners


class SharedPortTests(TestCase):
    def bind(self, port, shared=True):
        listeners = Listeners.bind(
            reactor,
            {"ssh": [f"tcp:{port}:interface=127.0.0.1"]},
            frozenset({"ssh"} if shared else ()),
        )
        self.addCleanup(listeners.close)
        return listeners

    def test_two_listen_and_a_third_that_does_not_share_cannot(self):
        first = self.bind(0)
        port = first.port("ssh")
        second = self.bind(port)
        self.assertEqual(second.port("ssh"), port)
        error = self.assertRaises(CannotServe, self.bind, port, shared=False)
        self.assertIn("Address already in use", str(error))

    def test_without_sharing_a_port_is_had_once(self):
        port = self.bind(0, shared=False).port("ssh")
        self.assertRaises(CannotServe, self.bind, port)

    def test_two_share_a_port_with_tls(self):
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        certificate, key = directory / "certificate.pem", directory / "key.pem"
        write_certificate(certificate, key)
        text = f"ssl:{{}}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"

        def bind(port):
            listeners = Listeners.bind(reactor, {"web": [text.format(port)]}, frozenset({"web"}))
            self.addCleanup(listeners.close)
            return listeners.port("web")

        port = bind(0)
        self.assertEqual(bind(port), port)

    def test_both_families_on_one_port(self):
        listeners = Listeners.bind(reactor, {"ssh": [r"tcp:0:interface=\:\:"]})
        self.addCleanup(listeners.close)
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, listeners.port("ssh")), timeout=30).close()

    def test_ipv6(self):
        listeners = Listeners.bind(reactor, {"ssh": [r"tcp:0:interface=\:\:1"]}, frozenset({"ssh"}))
        self.addCleanup(listeners.close)
        self.assertGreater(listeners.port("ssh"), 0)


class AcceptTests(TestCase):
    """Many connections come between two turns of the reactor."""

    def binder(self, shared=False):
        return Binder(reactor, shared, HandshakeQueue(reactor), Spreading(reactor))

    def test_a_burst_waits_in_the_kernel(self):
        """Of 200 connections at one moment none is lost, whether or not a description says more."""
        for text in ("tcp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1:backlog=5"):
            endpoint = serverFromString(self.binder(), text)
            port = self.successResultOf(endpoint.listen(Factory()))
            self.addCleanup(port.stopListening)
            # Of a socket that listens, struct tcp_info has its backlog in place of tcpi_sacked.
            info = port.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
            most = int(Path("/proc/sys/net/core/somaxconn").read_text())
            self.assertEqual(int.from_bytes(info[28:32], sys.byteorder), min(BACKLOG, most))

    def see_few(self, listen):
        """See that a port accepts few in a turn, and each of them in the end.

        :param listen: has a factory listen on any port of loopback.
        """
        made = []

        class Made(Protocol):
            def connectionMade(self):
                made.append(self.transport)
                self.transport.abortConnection()

        port = listen(Factory.forProtocol(Made))
        self.addCleanup(port.stopListening)
        address = (port.getHost().host, port.getHost().port)
        # The kernel completes these connections; the reactor doesn't turn, so nobody accepts them.
        for _ in range(3 * ACCEPTS_A_TURN):
            self.addCleanup(socket.create_connection(address, timeout=30).close)
        for turn in range(1, 4):
            port.doRead()
            self.assertEqual(len(made), turn * ACCEPTS_A_TURN)

    def test_a_port(self):
        """600 who came at once took up to 43 ms of one turn."""
        for shared in (False, True):
            binder = self.binder(shared)
            self.see_few(lambda factory, b=binder: b.listenTCP(0, factory, 100, "127.0.0.1"))

    def test_a_port_with_tls(self):
        certificate, key = (Path(self.mktemp()).absolute() for _ in range(2))
        write_certificate(certificate, key)
        context = ssl.DefaultOpenSSLContextFactory(str(key), str(certificate))
        binder = self.binder()
        self.see_few(lambda factory: binder.listenSSL(0, factory, context, 100, "127.0.0.1"))

    def test_a_socket_that_systemd_holds(self):
        held = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.addCleanup(held.close)
        held.setblocking(False)
        self.see_few(
            lambda factory: self.binder().adoptStreamPort(held.fileno(), held.family, factory)
        )

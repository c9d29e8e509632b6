"""Several pods of one machine answer on one port."""

import socket
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.pod.certificates import write_certificate
from tunnelcloud.daemon import CannotServe
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

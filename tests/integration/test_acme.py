"""Certificates by ACME from a real authority, and what runs through the port meanwhile."""

import contextlib
import signal
import socket
import ssl
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.authorities import Pebble
from tests.integration.processes import PATIENCE, Gateway, free_port
from tests.integration.test_end_to_end import EchoWorld

LIFE = 6
"""Seconds that a certificate lives which is to be renewed."""

STREAMS = 50


class AcmeTests(SynchronousTestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="tunnelcloud-acme-")
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)

    def authority(self, port, life):
        """Start one that looks for answers on a port; give its settings."""
        authority = Pebble(self.directory, port, life)
        self.addCleanup(authority.close)
        return f"[web.acme]\n{authority.settings}"

    def shown(self, port):
        """Give the certificate that a browser sees; nothing while there is none."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            raw = socket.create_connection(("127.0.0.1", port), PATIENCE)
            with raw, context.wrap_socket(raw, server_hostname="localhost") as client:
                return client.getpeercert(binary_form=True)
        return b""

    def wait_for_another(self, port, before, hurry=lambda: None):
        deadline = time.monotonic() + 3 * PATIENCE  # an order that fails is tried again after 60 s
        while (found := self.shown(port)) in (before, b""):
            self.assertLess(time.monotonic(), deadline)
            hurry()
            time.sleep(0.2)
        return found

    def test_a_renewal_by_tls_alpn_under_streams_of_the_one_port(self):
        world = EchoWorld(one_port=True, acme=lambda port: self.authority(port, LIFE))
        self.addCleanup(world.close)
        port = world.gateway.ssh_port
        first = self.wait_for_another(port, b"")
        target = f"127.0.0.1:{world.echo.port}"
        ssh, local = world.client.forward("alice", target, key=world.key)
        self.addCleanup(ssh.stop)
        with contextlib.ExitStack() as opened:
            streams = [
                opened.enter_context(socket.create_connection(("127.0.0.1", local), PATIENCE))
                for _ in range(STREAMS)
            ]
            self.echo(streams, b"before")
            pod = world.gateway.process.process
            self.wait_for_another(port, first, lambda: pod.send_signal(signal.SIGHUP))
            self.echo(streams, b"after")
        self.assertEqual(world.gateway.get("/readyz"), "ready\n")
        issued = [
            one["data"]["names"] for one in world.ask("audit", event="web_certificate.issued")
        ]
        self.assertGreater(len(issued), 1)
        self.assertEqual(set(issued), {"localhost"})

    def echo(self, streams, text):
        for stream in streams:
            stream.sendall(text)
        for stream in streams:
            self.assertEqual(stream.recv(len(text)), text)

    def test_http_01_on_a_listener_of_the_web_alone(self):
        port = free_port()
        settings = self.authority(port, 3600) + 'challenge = "http-01"\n'
        pod = Gateway(self.directory, settings, web_listen=f'"ssl:{port}:interface=127.0.0.1",')
        self.addCleanup(pod.process.stop)
        self.assertTrue(self.wait_for_another(port, b""))

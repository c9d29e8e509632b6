"""One port for all, with real clients: ssh, a connector, curl, and a renewal under a stream."""

import contextlib
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from datetime import UTC, datetime

from tests.integration.processes import PATIENCE
from tests.integration.worlds import WorldCase
from tests.pod.certificates import write_certificate
from tests.requirements import require_executable


class OnePortTests(WorldCase):
    """The pod listens on one port beside the administrator's own web listener on loopback."""

    gateway_options = {"one_port": True}

    @property
    def gateway(self):
        return self.world.gateway

    @property
    def front(self):
        return self.gateway.ssh_port

    def tls(self, protocols=("http/1.1",)):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(list(protocols))
        raw = socket.create_connection(("127.0.0.1", self.front), PATIENCE)
        return context.wrap_socket(raw, server_hostname="localhost")

    def stream(self):
        """Open a stream to the target through `ssh -L`."""
        target = f"127.0.0.1:{self.world.echo.port}"
        port = self.through("alice", target, key=self.world.key)
        return socket.create_connection(("127.0.0.1", port), PATIENCE)

    def test_ssh_through_the_one_port(self):
        with self.stream() as stream:
            stream.sendall(b"through one port")
            self.assertEqual(stream.recv(100), b"through one port")

    def test_a_client_that_waits_for_the_identification(self):
        with socket.create_connection(("127.0.0.1", self.front), PATIENCE) as client:
            self.assertTrue(client.recv(100).startswith(b"SSH-2.0-"))

    def test_the_portal_by_alpn_and_without(self):
        for protocols in (("http/1.1",), ("h2", "http/1.1"), ()):
            with self.tls(protocols) as client:
                client.sendall(b"GET /sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertIn(b"200 OK", client.recv(200))

    def test_plain_http_is_sent_to_the_portal(self):
        with socket.create_connection(("127.0.0.1", self.front), PATIENCE) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"\r\nLocation: https://", client.recv(500))

    def test_metrics_are_apart(self):
        url = f"http://127.0.0.1:{self.gateway.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            self.assertIn(b"tunnelcloud_sessions", answer.read())
        with self.tls() as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b" 404 ", client.recv(200))

    def test_a_renewal_under_a_stream(self):
        with self.stream() as stream:
            before = self.shown()
            write_certificate(*self.gateway.certificate_files, "renewed.example.com")
            self.gateway.process.process.send_signal(signal.SIGHUP)
            self.gateway.process.process.send_signal(signal.SIGUSR1)
            deadline = time.monotonic() + PATIENCE
            while self.shown() == before and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertNotEqual(self.shown(), before)
            stream.sendall(b"still here")
            self.assertEqual(stream.recv(100), b"still here")

    def test_a_certificate_that_ended_is_told(self):
        files = self.gateway.certificate_files
        self.addCleanup(self.reload, *files)
        self.reload(*files, ends=datetime(2026, 1, 31, tzinfo=UTC))
        self.gateway.process.wait_for("certificate, which ends at 2026-01-31T00:00:00")
        self.assertIn(
            "the web's certificate ended on 2026-01-31: replace its files",
            self.gateway.get("/readyz"),
        )

    def test_no_log_names_objects_in_memory(self):
        for process in (self.gateway.process, self.world.connector.process):
            self.assertEqual([line for line in process.said() if " object at 0x" in line], [])

    def reload(self, *files, ends=None):
        """Have the pod take a certificate of its own from new files."""
        write_certificate(*files, ends=ends)
        self.gateway.process.process.send_signal(signal.SIGHUP)

    def shown(self):
        with contextlib.closing(self.tls()) as client:
            return client.getpeercert(binary_form=True)

    def test_curl(self):
        curl, url = require_executable("curl"), f"https://localhost:{self.front}/sign-in"
        done = subprocess.run(
            [curl, "-sk", "-o", "/dev/null", "-w", "%{http_code}", url],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.stdout, "200")

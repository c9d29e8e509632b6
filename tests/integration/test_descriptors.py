"""A pod that may open few files, and a stranger who begins more requests than that."""

import contextlib
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import PATIENCE, Gateway
from tests.requirements import require_executable

HALF = b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: "


def connect(port, source):
    return socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))


class DescriptorTests(SynchronousTestCase):
    def open_pod(self, files):
        prlimit = require_executable("prlimit")
        state = Path(self.mktemp())
        state.mkdir()
        gateway = Gateway(state.resolve(), prefix=(prlimit, f"--nofile={files}:{files}"))
        self.addCleanup(gateway.process.stop)
        return gateway

    def check(self, files):
        gateway = self.open_pod(files)
        with contextlib.ExitStack() as crowd:
            for _ in range(files + 50):
                with contextlib.suppress(OSError):
                    one = crowd.enter_context(connect(gateway.web_port, "127.0.0.2"))
                    one.sendall(HALF)
            with connect(gateway.ssh_port, "127.0.0.3") as client:
                self.assertTrue(client.recv(100).startswith(b"SSH-2.0-"))
            with connect(gateway.link_port, "127.0.0.3") as client:
                client.sendall(b"\x16\x03\x01")
            with connect(gateway.web_port, "127.0.0.3") as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200 "))
            self.assertEqual(gateway.get("/readyz"), "ready\n")
            gateway.do("site", "create", "paris")
        said = "\n".join(gateway.process.said())
        self.assertIn(f"this pod may open {files} files, which is few", said)
        self.assertNotIn("Too many open files", said)

    def test_256_files(self):
        self.check(256)

    def test_1024_files(self):
        self.check(1024)

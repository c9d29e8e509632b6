"""What tests of one connection share: a forward on it, and what it logs."""

import struct

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import Client
from tunnelcloud.channels.messages import DirectTcpip, pack_string


def open_echo(client: Client, window: int = 1 << 20, number: int = 0) -> None:
    """Open a forward to the echo."""
    head = pack_string(b"direct-tcpip") + struct.pack(">III", number, window, 32768)
    client.send(b"\x5a" + head + DirectTcpip(b"echo", 7, b"127.0.0.1", 5).encode())
    client.expect(91)


def data(payload: bytes) -> bytes:
    return b"\x5e\0\0\0\0" + pack_string(payload)


class LogCase(SynchronousTestCase):
    """Keeps what is logged at info or above."""

    def setUp(self) -> None:
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: dict) -> None:
        namespace = event.get("log_namespace") or ""
        if event["log_level"].name != "debug" and namespace.startswith("tunnelcloud"):
            self.lines.append(event["log_format"].format(**event))

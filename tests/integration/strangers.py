"""Strangers and users at the SSH port of one real pod, which all such tests share.

Who comes has an address of its own, so that one test's penalties aren't another's.
"""

import atexit
import itertools
import re
import struct
import time

import psutil
from twisted.conch.ssh.keys import Key
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import PATIENCE
from tests.integration.worlds import EchoWorld
from tests.ssh.client import Client
from tests.ssh.socket_client import PatientClient
from tunnelcloud.channels.messages import DirectTcpip, pack_string

BALANCER = "127.0.0.200"
addresses = (f"127.0.0.{number}" for number in itertools.count(10))
_worlds: list[EchoWorld] = []


def world() -> EchoWorld:
    """Give the one world of this process."""
    if not _worlds:
        _worlds.append(EchoWorld(exempt="[]", balancers=f'["{BALANCER}/32"]'))
        atexit.register(_worlds[0].close)
        _worlds[0].tunnel("named", "10.0.0.6", 5432, external="db.example.com")
    return _worlds[0]


def open_echo(number: int, host: bytes, port: int, window: int = 1 << 20) -> bytes:
    head = pack_string(b"direct-tcpip") + struct.pack(">III", number, window, 32768)
    return b"\x5a" + head + DirectTcpip(host, port, b"127.0.0.1", 1).encode()


def open_session(number: int) -> bytes:
    return b"\x5a" + pack_string(b"session") + struct.pack(">III", number, 1 << 20, 32768)


class FrontDoorCase(SynchronousTestCase):
    """Has the world, and looks afterwards whether the pod is well."""

    def setUp(self) -> None:
        self.world = world()
        self.port = self.world.gateway.ssh_port
        self.source = next(addresses)
        self.addCleanup(self.well)

    def well(self) -> None:
        """No fault of the program's own was logged, and the pod still serves."""
        log = "\n".join(self.world.gateway.process.said())
        self.assertNotIn("Traceback", log)
        self.assertNotIn("fault of this program", log)
        status, output, errors = self.world.client.run(
            "alice", "-W", f"echo:{self.world.echo.port}", key=self.world.key, sent=b"well"
        )
        self.assertEqual((status, output), (0, b"well"), errors)

    def soon_no_session(self) -> list[object]:
        """What is live from this test's address, once nothing is or the patience is used up.

        The pod hangs up at once; that a login already under way came to nothing is written after.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            live = self.world.ask("sessions", live="true")
            mine = [one for one in live if one["source_ip"] == self.source]
            if not mine or time.monotonic() > deadline:
                return mine
            time.sleep(0.05)

    def stranger(self, source: str | None = None) -> PatientClient:
        client = PatientClient(self.port, source=source or self.source)
        self.addCleanup(client.lose)
        return client

    def user(self) -> PatientClient:
        client = self.stranger()
        client.secure()
        client.send_key(Key.fromString(self.world.key.path.read_bytes()))
        client.expect(52)
        return client

    def disconnected(self, client: Client) -> str:
        """Read to the end; give the reason that the pod gives."""
        for _ in range(200):
            for payload in client.read():
                if payload[0] == 1:
                    (size,) = struct.unpack_from(">I", payload, 5)
                    return payload[9 : 9 + size].decode()
        raise AssertionError("no DISCONNECT")

    def metric(self, name: str) -> float:
        metrics = self.world.gateway.get("/metrics")
        found = re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    def memory(self) -> int:
        return psutil.Process(self.world.gateway.process.process.pid).memory_info().rss

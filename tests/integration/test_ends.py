"""Every way a stream can end, beside sshd: docs/ends.md says what must come of it."""

import atexit
import getpass
import os
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.clients.building import build
from tests.given_ports import FIRST_OF_RANGES
from tests.integration import ends
from tests.integration.processes import PATIENCE
from tests.integration.targets import SSHServer
from tests.integration.worlds import World
from tests.requirements import require_executable, require_module, require_node_modules

AT_ONCE = 6


def free_range(count):
    """Find so many ports in a row that nobody listens on.

    They lie below those that other tests and the system take, and each process begins elsewhere.
    """
    for place in range(16):
        base = FIRST_OF_RANGES + (os.getpid() + place) % 16 * 500
        try:
            for port in range(base, base + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise AssertionError("no range of ports is free")


class EndsWorld(World):
    """A pod that gives targets up soon, a tunnel with a port for each case, and sshd."""

    def __init__(self, count):
        super().__init__(connectors=f'unread_timeout = "{ends.UNREAD_TIMEOUT}s"')
        # A target takes one connection, which has to be the client's.
        self.gateway.api("PATCH", "/settings", {"target_check_seconds": None})
        self.base = free_range(2 * count)
        self.tunnel("ends", "127.0.0.1", f"{self.base}-{self.base + count - 1}")
        self.login = ends.Login(self.gateway.ssh_port, "alice", self.key.path)
        self.sshd = SSHServer(self.directory)
        self.sshd_login = ends.Login(self.sshd.port, getpass.getuser(), self.sshd.user_key.path)

    def close(self):
        self.sshd.process.stop()
        super().close()


_worlds = []
_SIZE = 100


def world():
    """Give the one world of this process."""
    if not _worlds:
        _worlds.append(EndsWorld(_SIZE))
        atexit.register(_worlds[0].close)
    return _worlds[0]


class EndsTests(SynchronousTestCase):
    """Each row of the tables, by the pod and by sshd."""

    ports = iter(range(_SIZE))

    def setUp(self):
        require_executable("sshd")
        require_module("paramiko")
        self.world = world()

    def measure(self, run, targets, cases):
        """Run all cases, some at once; give what came of each by the pod and by sshd."""
        lock = threading.Lock()

        def one(case):
            with lock:
                port = self.world.base + next(self.ports)
            outcome = []
            for login in (self.world.login, self.world.sshd_login):
                target = ends.Target(targets(case), port).start()
                outcome.append(run(case, login, target))
                port += _SIZE
            return port - 2 * _SIZE, outcome

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(zip(cases, pool.map(one, cases), strict=True))

    def judge(self, measured):
        records = self.world.closed_channels(len(measured))
        by_port = {record["port"]: record for record in records}
        wrong = []
        for case, (port, (ours, sshds)) in measured:
            reason = by_port[port]["close_reason"] if port in by_port else "still open"
            told = reason or "as usual"
            for who, cells, seen in (
                ("pod", (case.arrives, case.then), ours),
                ("sshd", case.expected_of_sshd(), sshds),
                ("audit", (case.audit,), (told,)),
            ):
                if not all(map(ends.agrees, cells, seen)):
                    wrong.append(f"{case.one} / {case.other}: {who} {seen}, the page says {cells}")
        self.assertFalse(wrong, "\n".join(wrong))
        return by_port

    def test_clients_end(self):
        cases = ends.read_table("A client ends")
        measured = self.measure(ends.client_ends, lambda case: ends.TARGETS[case.other], cases)
        records = self.judge(measured)
        for case, (port, (ours, _)) in measured:
            if ours[0] == "all" and case.audit == "as usual":
                self.assertEqual(records[port]["bytes_to_target"], ends.size_of(case))

    def test_targets_end(self):
        cases = ends.read_table("A target ends")
        self.judge(
            self.measure(ends.target_ends, lambda case: ends.ENDING_TARGETS[case.one], cases)
        )

    def test_the_page_has_every_pair(self):
        for heading, ones, others in (
            ("A client ends", ends.CLIENTS, ends.TARGETS),
            ("A target ends", ends.ENDING_TARGETS, ("reads", "reads slowly", "reads late")),
        ):
            rows = {(case.one, case.other) for case in ends.read_table(heading)}
            missing = {(one, other) for one in ones for other in others} - rows
            self.assertEqual(missing, set())


class LibraryTests(SynchronousTestCase):
    """What a library's own close leaves behind, towards a target that reads slowly."""

    def delivers(self, *program, method=("key",), action=("close",), environment=None):
        """Run a client that writes and closes; its bytes arrive whole, and then an end."""
        at = world()
        port = at.base + next(EndsTests.ports)
        target = ends.Target(ends.TARGETS["reads slowly"], port).start()
        login = [at.gateway.ssh_port, "alice", *method, at.key.path]
        words = [*program, *login, f"127.0.0.1:{port}", *action, ends.SIZE]
        done = subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, **(environment or {})},
        )
        self.assertEqual(done.stdout.split(), ["closed"], done.stderr)
        self.assertEqual(target.result(), (ends.SIZE, "end"))

    def test_go(self):
        self.delivers(*build("go"))

    def test_jsch(self):
        self.delivers(*build("jsch"))

    def test_node(self):
        node = require_executable("node")
        modules = require_node_modules("ssh2")
        script = Path(__file__).with_name("node_close.js")
        paths = {"NODE_PATH": str(modules)}
        self.delivers(node, script, method=(), action=(), environment=paths)


class BetweenTests(SynchronousTestCase):
    """What is between client and target ends: the session, the connector, the pod."""

    def setUp(self):
        require_module("paramiko")

    def check(self, what, end):
        """Have two channels, one that waits and one whose client closed it; then end something."""
        self.world = World()  # its pod drains for a second
        self.addCleanup(self.world.close)
        base = free_range(2)
        self.world.tunnel("ends", "127.0.0.1", f"{base}-{base + 1}")
        login = ends.Login(self.world.gateway.ssh_port, "alice", self.world.key.path)
        cases = {case.other: case for case in ends.read_table("Something between ends")
                 if case.one == what}  # fmt: skip
        targets = [ends.Target(ends.reads_late, base + n).start() for n in range(2)]
        opened = [login.open(target.port) for target in targets]
        for transport, channel in opened:
            self.addCleanup(transport.close)
            channel.sendall(bytes(ends.WITHOUT_READER))
        opened[1][1].close()
        time.sleep(0.5)  # until all is where it goes while nobody reads
        end()
        opened[0][1].close()
        for state, target in zip(("wrote", "wrote and closed"), targets, strict=True):
            case = cases.pop(state)
            count, then = target.result()
            arrives = "all" if count == ends.WITHOUT_READER else "part"
            for cell, seen in ((case.arrives, arrives), (case.then, then)):
                self.assertTrue(ends.agrees(cell, seen), f"{state}: {arrives}, {then}; {case}")
        self.assertEqual(cases, {})

    def test_session_ended_by_an_administrator(self):
        def end():
            for session in self.world.ask("sessions"):
                self.world.do("session", "end", session["id"])

        self.check("the session, by an administrator", end)

    def test_connector_stops(self):
        self.check(
            "the connector, in order",
            lambda: self.world.connector.process.process.terminate(),
        )

    def test_connector_is_killed(self):
        self.check("the connector, killed", lambda: self.world.connector.process.kill())

    def test_pod_stops(self):
        self.check("the pod, in order", lambda: self.world.gateway.process.process.terminate())

    def test_pod_is_killed(self):
        self.check("the pod, killed", lambda: self.world.gateway.process.kill())

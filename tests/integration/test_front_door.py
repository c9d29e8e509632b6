"""Strangers, and users who mean harm, at the SSH port of a real pod with its default settings.

Who attacks comes from an address of its own, so that one test's penalties aren't another's.
"""

import atexit
import contextlib
import itertools
import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from twisted.conch.ssh.keys import Key
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import PATIENCE, Process
from tests.integration.test_end_to_end import EchoWorld
from tests.requirements import require_executable
from tests.ssh.client import Client
from tests.ssh.socket_client import PatientClient
from tunnelcloud.channels.messages import DirectTcpip, pack_string
from tunnelcloud.net import proxy_protocol as proxy

BALANCER = "127.0.0.200"
_addresses = (f"127.0.0.{number}" for number in itertools.count(10))
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
        self.source = next(_addresses)
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


class HostKeyTests(FrontDoorCase):
    """What people compare a host key with."""

    def test_the_same_everywhere(self) -> None:
        """ssh-keyscan, /known_hosts, the API and the command line say the same."""
        scan = subprocess.run(
            [require_executable("ssh-keyscan"), "-p", str(self.port), "127.0.0.1"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        scanned = {line for line in scan.stdout.splitlines() if not line.startswith("#")}
        lines = self.world.gateway.get("/known_hosts").splitlines()
        own = [line for line in lines if line.startswith(f"[127.0.0.1]:{self.port} ")]
        self.assertEqual(set(own), scanned)
        external = [line for line in lines if line.startswith(f"[db.example.com]:{self.port} ")]
        self.assertEqual(
            {line.partition(" ")[2] for line in own}, {line.partition(" ")[2] for line in external}
        )
        status, said, _ = self.world.gateway.run("host-key", "known-hosts")
        self.assertEqual((status, set(said.splitlines())), (0, set(lines)))
        keys = self.world.do("host-key", "list")["items"]
        self.assertEqual({line for key in keys for line in key["known_hosts"]}, set(lines))
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", "-"],
            input="\n".join(own),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        fingerprints = {line.split()[1] for line in shown.stdout.splitlines()}
        self.assertEqual({key["fingerprint"] for key in keys}, fingerprints)

    def test_a_new_name_is_there_at_once(self) -> None:
        """A tunnel's external address needs no heartbeat to be listed."""
        self.world.tunnel("fresh", "10.0.0.7", 5432, external="fresh.example.com")
        for _ in range(20):
            if "[fresh.example.com]" in self.world.gateway.get("/known_hosts"):
                return
            time.sleep(0.1)
        self.fail("the new name isn't listed")

    def test_openssh_learns_the_keys_that_take_their_place(self) -> None:
        """Each step but the last, with a file that ssh itself keeps; no connection fails."""
        known = self.world.directory / "learnt"
        own = f"[127.0.0.1]:{self.port} "
        lines = self.world.gateway.get("/known_hosts").splitlines()
        known.write_text("".join(f"{line}\n" for line in lines if line.startswith(own)))
        before = self.fingerprints()
        self.world.do("host-key", "rotate")
        self.learn(known)
        new = self.fingerprints() - before
        self.assertEqual(len(new), 3)
        self.world.do("host-key", "promote")
        self.learn(known)
        self.world.do("host-key", "retire")
        self.learn(known)
        self.assertEqual(self.fingerprints(), new)
        # For the tests that come after this one.
        self.world.client.known_hosts.write_text(self.world.gateway.get("/known_hosts"))

    def fingerprints(self) -> set[str]:
        return {key["fingerprint"] for key in self.world.do("host-key", "list")["items"]}

    def learn(self, known: Path) -> None:
        """Connect with a file that ssh may change, until it has the keys that the pod tells."""
        told = {
            key["known_hosts"][0].split()[-1] for key in self.world.do("host-key", "list")["items"]
        }
        words = ["-o", "UpdateHostKeys=yes", "-v", "-N"]
        arguments = self.world.client.arguments("alice", *words, key=self.world.key)
        place = arguments.index(f"UserKnownHostsFile={self.world.client.known_hosts}")
        arguments[place] = f"UserKnownHostsFile={known}"
        process = Process(arguments, self.world.client.environment())
        self.addCleanup(process.kill)
        process.wait_for("Entering interactive session")
        deadline = time.monotonic() + PATIENCE
        while {line.split()[2] for line in known.read_text().splitlines()} != told:
            self.assertLess(time.monotonic(), deadline, process.said())
            time.sleep(0.1)
        process.stop()

    def test_ssh_audit(self) -> None:
        """With default settings: no failure, no warning but curve25519's."""
        newest = Path(sys.executable).with_name("ssh-audit")
        audit = str(newest) if newest.exists() else require_executable("ssh-audit")
        done = subprocess.run(
            [audit, "-n", "--skip-rate-test", "-p", str(self.port), "127.0.0.1"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertIn("ssh-ed25519", done.stdout)
        self.assertNotIn("[fail]", done.stdout)
        for line in done.stdout.splitlines():
            if "[warn]" in line:
                self.assertRegex(line, "curve25519-sha256.*post-quantum")


class FloodTests(FrontDoorCase):
    """Who comes too often."""

    def banner(self, source: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 5, (source, 0)) as connection:
            connection.settimeout(0.5)
            said = b""
            with contextlib.suppress(TimeoutError):
                while data := connection.recv(1000):
                    said += data
            return said

    def test_half_open_connections(self) -> None:
        """One address holds 24; another isn't touched, and /metrics counts."""
        dropped = 'tunnelcloud_ssh_connections_total{outcome="dropped_source"}'
        before = self.metric(dropped)
        with contextlib.ExitStack() as held:
            for _ in range(24):
                held.enter_context(
                    socket.create_connection(("127.0.0.1", self.port), 5, (self.source, 0))
                )
            self.assertIn(b"too many connections from your address", self.banner(self.source))
            self.assertEqual(self.metric(dropped), before + 1)
            self.assertGreaterEqual(self.metric("tunnelcloud_ssh_starting"), 24)
            self.stranger(next(_addresses)).secure()

    def test_wrong_tokens(self) -> None:
        """Four wrong tokens in a row shut an address out for a while; users stay in."""
        session = self.user()
        client = self.stranger().secure()
        for number in range(4):
            client.send_token(f"wrong-{number}")
            self.assertEqual((client.expect_any()[0], client.expect_any()[0]), (53, 51))
        self.assertIn(b"too many failed logins from your address", self.banner(self.source))
        self.assertGreaterEqual(self.metric("tunnelcloud_ssh_penalised"), 1)
        self.assertEqual(self.banner(next(_addresses))[:4], b"SSH-")
        session.send(b"\x50" + pack_string(b"x") + b"\1")
        session.expect(82)

    def test_balancer(self) -> None:
        """A listed balancer names the client; others' headers are no identification."""
        header = proxy.SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 12)
        header += socket.inet_aton("192.0.2.77") + socket.inet_aton("127.0.0.1")
        header += struct.pack(">HH", 4242, self.port)
        client = self.stranger(BALANCER)
        client.write(header)
        client.secure().send_token("wrong", b"behind-a-balancer")
        self.assertEqual(client.expect_any()[0], 53)
        refused = self.world.ask("audit", event="login.refused")[0]
        self.assertEqual(refused["data"]["login_name"], "behind-a-balancer")
        self.assertEqual(refused["source_ip"], "192.0.2.77")
        with socket.create_connection(("127.0.0.1", self.port), 5, (self.source, 0)) as liar:
            liar.sendall(header)
            received = b""
            while more := liar.recv(1000):
                received += more
        self.assertIn(b"Invalid SSH identification", received)


class StrangerTests(FrontDoorCase):
    """Before the login."""

    def test_plain_text_login(self) -> None:
        """Nothing of a login is heard before there are keys."""
        client = self.stranger().identify()
        request = pack_string(b"alice") + pack_string(b"ssh-connection") + pack_string(b"none")
        client.write(
            client.seal(b"\x05" + pack_string(b"ssh-userauth")) + client.seal(b"\x32" + request)
        )
        self.assertIn("message 5 while awaiting", self.disconnected(client))

    def test_memory(self) -> None:
        """Unfinished packets of the largest size: 256 KiB a connection at most."""
        many = [self.stranger(next(_addresses)).secure() for _ in range(20)]
        before = self.memory()
        for client in many:
            client.write(client.seal(b"\x02" + bytes(34_900))[:-1])
        client = self.stranger().secure()
        client.send(b"\x02" + bytes(36_000))
        self.assertIn("a packet of 36", self.disconnected(client))
        self.assertLess((self.memory() - before) / len(many), 256 * 1024)

    def test_drip(self) -> None:
        """A byte at a time is read as well, and holds up nobody else."""
        client = self.stranger()
        for byte in b"SSH-2.0-drip\r\n":
            client.write(bytes((byte,)))
        self.assertEqual(client.take_kexinit().compressions_in, (b"none",))

    def test_names(self) -> None:
        """User names of any bytes get the one answer, and neither log nor audit obeys them."""
        names = (
            b"\x1b[2J\x1b[31mroot\r\nsecond line\0\xe2\x80\xae",
            b"x" * 34_000,
            b"\xff" * 3000,
            b"tcptunnel@" + b"y" * 10_000,
            b"",
        )
        answers = set()
        for name in names:
            client = self.stranger(next(_addresses)).secure().send_token("wrong", name)
            answers.add((client.expect_any(), client.expect_any()))
        self.assertEqual(len(answers), 1)
        for line in self.world.gateway.process.said():
            self.assertTrue(line.isprintable(), line)
            self.assertLess(len(line), 4000)
        events = self.world.ask("audit", event="login.refused")[: len(names)]
        for event in events:
            self.assertTrue(event["data"]["login_name"].isprintable())
            self.assertLess(len(json.dumps(event)), 4000)

    def test_pipelined_logins(self) -> None:
        """Three good logins in one write make one session at most, and no second avatar."""
        client = self.stranger().secure()
        token = self.world.token()
        request = client.auth_payload(b"password", b"\0" + pack_string(token.encode()))
        client.write(b"".join(client.seal(request) for _ in range(3)))
        self.assertIn("before the last one was answered", self.disconnected(client))
        self.assertEqual(self.soon_no_session(), [])


class UserTests(FrontDoorCase):
    """After the login."""

    def test_refused_requests(self) -> None:
        """Reverse forwards, agent, X11 and streams to sockets."""
        client = self.user()
        client.send(b"\x50" + pack_string(b"tcpip-forward") + b"\1" + pack_string(b"") + bytes(4))
        client.expect(82)
        for kind in (
            b"x11",
            b"forwarded-tcpip",
            b"direct-streamlocal@openssh.com",
            b"tun@openssh.com",
        ):
            client.send(b"\x5a" + pack_string(kind) + struct.pack(">III", 0, 1, 32768))
            self.assertEqual(client.expect(92)[4:8], struct.pack(">I", 1))

    def test_session_channels(self) -> None:
        """Ten, beside the forwards; each runs one command, and no subsystem."""
        client = self.user()
        for number in range(10):
            client.send(open_session(number))
            client.expect(91)
        client.send(open_session(10))
        self.assertIn(b"more than 10 sessions", client.expect(92))
        client.send(b"\x62\0\0\0\0" + pack_string(b"subsystem") + b"\1" + pack_string(b"sftp"))
        for number in (99, 95, 98, 96, 97):
            client.expect(number)  # granted, and one line on standard error that says there is none
        client.send(open_echo(11, b"echo", self.world.echo.port))
        client.expect(91)

    def test_limits(self) -> None:
        """A session ends when a policy leaves nothing to it, and ssh says why."""
        for name, option, reason in (
            ("brief", "--max-session", b"the longest time for a session is over"),
            ("quiet", "--idle", b"no traffic for 1 s"),
        ):
            self.world.do("policy", "create", name, option, "1s")
            self.world.tunnel(name, "10.0.0.8", 5432, assign=False)
            words = ("--user", "alice", "--method", "token", "--policy", name)
            self.world.do("assign", name, *words)
            token = self.world.token("--tunnel", name)
            status, _, errors = self.world.client.run("alice", "-N", token=token)
            self.assertEqual(status, 255)
            self.assertIn(reason, errors)

    def test_channel_flood(self) -> None:
        """Twenty thousand refused opens in one breath: others log in within a second."""
        client = self.user()

        def flood() -> None:
            with contextlib.suppress(OSError):
                for number in range(20_000):
                    client.socket.connection.sendall(client.seal(open_echo(number, b"nothing", 1)))

        def drain() -> None:
            with contextlib.suppress(OSError):
                client.socket.connection.settimeout(PATIENCE)
                while client.socket.connection.recv(1 << 20):
                    pass

        threads = [threading.Thread(target=work) for work in (flood, drain)]
        before = self.memory()
        for thread in threads:
            thread.start()
        threads[0].join(PATIENCE)
        self.well()
        self.assertLess(self.memory() - before, 64 << 20)
        client.socket.connection.shutdown(socket.SHUT_RDWR)
        threads[1].join(PATIENCE)

    def test_window_overflow(self) -> None:
        """More than was granted ends the connection."""
        client = self.user()
        client.send(open_echo(0, b"echo", self.world.echo.port, window=0))
        (number,) = struct.unpack_from(">I", client.expect(91), 4)
        data = b"\x5e" + struct.pack(">I", number) + pack_string(bytes(30_000))
        # What is echoed can't be sent back, so no more is granted.
        for _ in range(10):
            client.write(client.seal(data))
        self.assertIn("arrived in a window of", self.disconnected(client))

    def test_overgrown_window(self) -> None:
        """A window beyond 2^32 - 1 ends it, too, and so small packets are refused."""
        client = self.user()
        head = pack_string(b"direct-tcpip") + struct.pack(">III", 0, 1 << 20, 100)
        request = DirectTcpip(b"echo", self.world.echo.port, b"", 0).encode()
        client.send(b"\x5a" + head + request)
        self.assertIn(b"too small", client.expect(92))
        client.send(open_echo(1, b"echo", self.world.echo.port, window=1 << 31))
        (number,) = struct.unpack_from(">I", client.expect(91), 4)
        client.send(b"\x5d" + struct.pack(">II", number, 1 << 31))
        self.assertIn("a window beyond", self.disconnected(client))

    def test_replies_that_are_not_read(self) -> None:
        """Who asks without end and reads nothing is cut off; the pod holds little meanwhile."""
        client = self.user()
        before = self.memory()
        request = b"\x50" + pack_string(b"x" * 100) + b"\1"
        with contextlib.suppress(OSError):
            for _ in range(500_000):
                client.socket.connection.sendall(client.seal(request))
            self.fail("half a million unread replies")
        self.assertLess(self.memory() - before, 32 << 20)

    def test_rekeys_without_end(self) -> None:
        """A client that does nothing but rekey is served, and others beside it."""
        client = self.user()
        for _ in range(50):
            client.exchange_keys()
        self.well()
        client.exchange_keys()

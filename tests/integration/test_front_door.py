"""Strangers, and users who mean harm, at the SSH port of a real pod with its default settings.

Who attacks comes from an address of its own, so that one test's penalties aren't another's.
"""

import contextlib
import json
import socket
import struct
import threading

from tests.integration.processes import PATIENCE
from tests.integration.strangers import BALANCER, FrontDoorCase, addresses, open_echo, open_session
from tunnelcloud.channels.messages import DirectTcpip, pack_string
from tunnelcloud.net import proxy_protocol as proxy


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
            self.stranger(next(addresses)).secure()

    def test_wrong_tokens(self) -> None:
        """Four wrong tokens in a row shut an address out for a while; users stay in."""
        session = self.user()
        client = self.stranger().secure()
        for number in range(4):
            client.send_token(f"wrong-{number}")
            self.assertEqual((client.expect_any()[0], client.expect_any()[0]), (53, 51))
        self.assertIn(b"too many failed logins from your address", self.banner(self.source))
        self.assertGreaterEqual(self.metric("tunnelcloud_ssh_penalised"), 1)
        self.assertEqual(self.banner(next(addresses))[:4], b"SSH-")
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
        many = [self.stranger(next(addresses)).secure() for _ in range(20)]
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
            client = self.stranger(next(addresses)).secure().send_token("wrong", name)
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
            ("brief", "--max-session", b"the longest time for a session has passed"),
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

"""A stock ssh client reaches a server in a site: everything real, each part its own process."""

import hashlib
import os
import socket
import time
from datetime import UTC, datetime, timedelta

from tests.integration.processes import Keys, Process, SiteConnector, free_port
from tests.integration.targets import EchoTarget, SSHServer, exchange
from tests.integration.worlds import WorldCase

MEGABYTE = 1_000_000
SHORT_TOKEN_SECONDS = 3


class TransferTests(WorldCase):
    def test_100_megabytes_with_a_key_and_with_a_token(self):
        data = os.urandom(100 * MEGABYTE)
        digest = hashlib.sha256(data).digest()
        token = self.world.token()
        for credential in ({"key": self.world.key}, {"token": token}):
            port = self.through("alice", f"echo:{self.world.echo.port}", **credential)
            self.assertEqual(hashlib.sha256(exchange(port, data)).digest(), digest)
        status, _, errors = self.world.client.run("alice", token=token, command=["ls"])
        self.assertEqual(status, 255)
        self.assertIn(b"used", errors)

    def test_half_close(self):
        late = EchoTarget(answer=lambda heard: hashlib.sha256(heard).hexdigest().encode() * 1000)
        self.addCleanup(late.close)
        self.world.tunnel("late", "127.0.0.1", late.port)
        port = self.through("alice", f"late:{late.port}", key=self.world.key)
        data = os.urandom(3 * MEGABYTE)
        self.assertEqual(exchange(port, data), hashlib.sha256(data).hexdigest().encode() * 1000)

    def test_stdio_forward(self):
        target = f"echo:{self.world.echo.port}"
        status, output, _ = self.world.client.run(
            "alice", "-W", target, key=self.world.key, sent=b"hello" * 1000
        )
        self.assertEqual((status, output), (0, b"hello" * 1000))

    def test_socks_reaches_granted_targets_only(self):
        proxy = free_port()
        arguments = self.world.client.arguments(
            "alice", "-v", "-N", "-D", f"127.0.0.1:{proxy}", key=self.world.key
        )
        process = Process(arguments, self.world.client.environment())
        # It has just been busy: told in the moment before it waits, OpenSSH's client waits on.
        self.addCleanup(process.kill)
        process.wait_for("Entering interactive session")
        self.assertEqual(
            socks(proxy, "127.0.0.1", self.world.echo.port, b"over socks"), b"over socks"
        )
        closed = free_port()
        self.assertEqual(socks(proxy, "127.0.0.1", closed, b"x"), b"")


def socks(proxy, host, port, data):
    """Say ``data`` to a target through a SOCKS 5 proxy; give what it says back."""
    with socket.create_connection(("127.0.0.1", proxy), timeout=30) as connection:
        connection.sendall(b"\x05\x01\x00")
        if connection.recv(2) != b"\x05\x00":
            return b""
        name = host.encode()
        head = b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big")
        connection.sendall(head)
        answer = connection.recv(10)
        if len(answer) < 2 or answer[1] != 0:
            return b""
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while more := connection.recv(4096):
            received += more
        return received


class LoginTests(WorldCase):
    @classmethod
    def furnish(cls, world):
        world.tunnel("named", "127.0.0.1", world.echo.port, external="named.example.com")

    def works(self, login, destination, **credential):
        target = f"{destination}:{self.world.echo.port}"
        status, output, errors = self.world.client.run(
            login, "-W", target, sent=b"hello", **credential
        )
        self.assertEqual((status, output), (0, b"hello"), errors)

    def test_every_login_form(self):
        for login in ("alice", "ALICE", "alice@example.com", "tcptunnel"):
            self.works(login, "named", key=self.world.key)
            self.works(login, "named", token=self.world.token())
        for login in (
            "tcptunnel@named", "tcptunnel@named.example.com", "tcptunnel@Named.Example.Com.",
        ):  # fmt: skip
            self.works(login, "named", key=self.world.key)
            self.works(login, "localhost", key=self.world.key)
            self.works(login, "127.0.0.1", token=self.world.token("--tunnel", "named"))

    def test_destinations(self):
        for destination in ("named", "NAMED.", "named.example.com"):
            self.works("alice", destination, key=self.world.key)

    def test_two_tunnels_that_share_an_address(self):
        self.assertEqual(
            self.refusal(f"127.0.0.1:{self.world.echo.port}").partition(": ")[2],
            f"127.0.0.1:{self.world.echo.port} is more than one tunnel: echo, named; "
            "use the tunnel's name as the destination",
        )
        self.works("alice", "echo", key=self.world.key)

    def test_another_users_credential(self):
        self.world.do("user", "create", "bob")
        token = self.world.token()
        status, _, errors = self.world.client.run("bob", token=token, command=["ls"])
        self.assertEqual(status, 255)
        self.assertIn(b"Permission denied", errors)
        self.works("alice", "named", token=token)
        status, _, _ = self.world.client.run("bob", key=self.world.key, command=["ls"])
        self.assertEqual(status, 255)

    def test_ls(self):
        status, output, errors = self.world.client.run("alice", key=self.world.key, command=["ls"])
        self.assertEqual(status, 0, errors)
        for name in (b"echo", b"named"):
            self.assertIn(name, output)


class TargetTests(WorldCase):
    settings = f'[tokens]\nlifetime = "{SHORT_TOKEN_SECONDS}s"'

    def test_dns_ipv6_and_a_range_by_group(self):
        six = EchoTarget(family=socket.AF_INET6, host="::1")
        self.addCleanup(six.close)
        do = self.world.do
        do("group", "create", "dba")
        do("group", "add", "dba", "alice")
        self.world.tunnel("by-name", "localhost", self.world.echo.port, assign=False)
        self.world.tunnel("six", "::1", f"{six.port}-{min(six.port + 3, 65535)}", assign=False)
        for name in ("by-name", "six"):
            do("assign", name, "--group", "dba", "--method", "key")
        for target in (f"by-name:{self.world.echo.port}", f"[::1]:{six.port}", f"six:{six.port}"):
            status, output, errors = self.world.client.run(
                "alice", "-W", target, key=self.world.key, sent=b"hello"
            )
            self.assertEqual((status, output), (0, b"hello"), errors)
        do("group", "remove", "dba", "alice")
        self.assertIn("no tunnel of yours", self.refusal(f"six:{six.port}"))

    def test_an_expired_key(self):
        do = self.world.do
        key = Keys(self.world.directory, "short-lived-key")
        do("user", "create", "carol")
        do("assign", "echo", "--user", "carol", "--method", "key")
        expires = datetime.now(UTC) + timedelta(seconds=8)
        do("key", "add", "carol", "--public-key", key.public, "--expires", expires.isoformat())

        def look():
            return self.world.client.run("carol", key=key, command=["ls"])

        self.assertEqual(look()[0], 0)
        while datetime.now(UTC) < expires + timedelta(seconds=1):
            status, _, errors = look()
        self.assertEqual(status, 255)
        self.assertIn(b"Permission denied", errors)

    def test_an_expired_token(self):
        token = self.world.token()
        until = datetime.now(UTC) + timedelta(seconds=SHORT_TOKEN_SECONDS + 1)
        while datetime.now(UTC) < until:
            self.world.client.run("alice", key=self.world.key, command=["ls"])
        status, _, errors = self.world.client.run("alice", token=token, command=["ls"])
        self.assertEqual(status, 255)
        self.assertIn(b"expired at", errors)

    def test_jump_through_the_pod_to_a_server_of_the_site(self):
        server = SSHServer(self.world.directory)
        self.addCleanup(server.process.stop)
        self.world.tunnel("bastion", "127.0.0.1", server.port)
        self.assertEqual(server.run_through(self.world.client, self.world.key), b"hello from sshd")


class RefusalTests(WorldCase):
    @classmethod
    def furnish(cls, world):
        do = world.do
        cls.closed = free_port()
        world.tunnel("db-prod", "127.0.0.1", 5432, assign=False)
        do("assign", "db-prod", "--user", "alice", "--method", "token")
        world.tunnel("closed", "127.0.0.1", cls.closed)
        world.tunnel("secret", "127.0.0.1", 9999, assign=False)
        do("site", "create", "rome")
        do("tunnel", "create", "far", "--site", "rome", "--address", "10.0.0.5", "--port", "5432")
        do("assign", "far", "--user", "alice", "--method", "key")

    def test_reasons_of_the_contract(self):
        for target, text in [
            ("db-prod:5433", "db-prod: port 5433 is not published (5432 is)"),
            ("db-prod:5432", "db-prod: needs a one-time token, this session used a key"),
            ("far:5432", "site rome: no connector is attached"),
            (f"closed:{self.closed}", f"connect to 127.0.0.1:{self.closed}: refused"),
        ]:
            self.assertEqual(self.refusal(target).partition(": ")[2], text)

    def test_without_a_grant_nothing_is_told(self):
        texts = {self.refusal(f"{name}:9999").replace(name, "X") for name in ("secret", "madeup")}
        self.assertEqual(len(texts), 1, texts)

    def test_other_requests_are_refused(self):
        for words in (["-R", "9999:127.0.0.1:1"], ["-s"]):
            status, _, _ = self.world.client.run(
                "alice", *words, key=self.world.key, command=["sftp"]
            )
            self.assertNotEqual(status, 0)


class SurvivalTests(WorldCase):
    def reach(self):
        target = f"echo:{self.world.echo.port}"
        return self.world.client.run("alice", "-W", target, key=self.world.key, sent=b"hello")[1]

    def reaches_within(self, seconds):
        began = time.monotonic()
        while self.reach() != b"hello":
            self.assertLess(time.monotonic() - began, seconds)

    def test_connectors_and_pod_come_and_go(self):
        world = self.world
        created = world.do("connector", "create", "paris-2", "--site", "paris")
        second = SiteConnector(world.directory, "paris-2", created["join"]["token"])
        self.addCleanup(lambda: second.process.stop())
        world.connector.process.kill()
        self.reaches_within(10)
        world.connector.start()
        world.gateway.process.kill()
        world.gateway.start()
        self.reaches_within(30)
        world.do("connector", "delete", "paris-2", "--yes")
        self.reaches_within(30)  # the first one may still be on its way back to the pod

    def test_a_used_join_token(self):
        created = self.world.do("connector", "create", "paris-9", "--site", "paris")
        token = created["join"]["token"]
        first = SiteConnector(self.world.directory, "paris-9", token)
        first.process.stop()
        (self.world.directory / "again").mkdir()
        with self.assertRaises(AssertionError) as caught:
            SiteConnector(self.world.directory / "again", "paris-9", token)
        self.assertIn("used", str(caught.exception))

    def test_a_killed_pod_forgets_no_spent_token_and_closes_its_books(self):
        token = self.world.token()
        process, _ = self.world.client.forward("alice", f"echo:{self.world.echo.port}", token=token)
        self.addCleanup(process.stop)
        self.world.gateway.process.kill()
        self.world.gateway.start()
        # Other tests, too, need its connector back.
        self.world.gateway.process.wait_for("connector.attached")
        status, _, errors = self.world.client.run("alice", token=token, command=["ls"])
        self.assertEqual(status, 255)
        self.assertIn(b"was used at", errors)
        for session in self.world.do("session", "list")["items"]:
            self.assertIsNotNone(session["ended_at"])

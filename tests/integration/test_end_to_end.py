"""A stock ssh client reaches a server in a site: everything real, each part its own process."""

import atexit
import hashlib
import json
import os
import queue
import socket
import time
from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import PATIENCE, Keys, Process, SiteConnector, free_port
from tests.integration.targets import EchoTarget, GreetingTarget, SSHServer, TLSTarget, exchange
from tests.integration.worlds import World

MEGABYTE = 1_000_000
SHORT_TOKEN_SECONDS = 3


class EchoWorld(World):
    """Has an echo server as tunnel `echo`, too."""

    def __init__(self, settings="", **gateway):
        super().__init__(settings, **gateway)
        self.echo = EchoTarget()
        self.tunnel("echo", "127.0.0.1", self.echo.port)

    def close(self):
        self.echo.close()
        super().close()


_worlds = {}


class WorldCase(SynchronousTestCase):
    """Shares one world among a class's tests; it ends with the test process."""

    settings = ""
    gateway_options = {}

    def setUp(self):
        kind = type(self)
        if kind not in _worlds:
            _worlds[kind] = EchoWorld(kind.settings, **kind.gateway_options)
            atexit.register(_worlds[kind].close)
            kind.world = _worlds[kind]
            kind.furnish(kind.world)
        self.world = _worlds[kind]

    @classmethod
    def furnish(cls, world):
        """Make what all tests of the class need."""

    def through(self, login, target, **credential):
        process, port = self.world.client.forward(login, target, **credential)
        self.addCleanup(process.stop)
        return port

    def refusal(self, target, login="alice", **credential):
        """Ask for a destination with -W; give the line in which ssh says why not."""
        credential = credential or {"key": self.world.key}
        status, _, errors = self.world.client.run(login, "-W", target, **credential)
        self.assertNotEqual(status, 0)
        lines = [line for line in errors.decode().splitlines() if "open failed" in line]
        self.assertEqual(len(lines), 1, errors)
        return lines[0].partition("open failed: ")[2].strip()


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

    def test_doctor(self):
        status, output, errors = self.world.client.run(
            "alice", key=self.world.key, command=["doctor", "echo"]
        )
        self.assertEqual(status, 0, errors)
        self.assertIn(b"connect", output)

    def doctor(self, name, address, port):
        """Have the pod check a tunnel, for its user and for the API; give what both found."""
        do = self.world.do
        do("tunnel", "create", name, "--site", "paris", "--address", address, "--port", port,
           "--check", "tls")  # fmt: skip
        self.addCleanup(do, "tunnel", "delete", name, "--yes")
        do("assign", name, "--user", "alice", "--method", "key")
        status, output, errors = self.world.client.run(
            "alice", key=self.world.key, command=["doctor", name, "--json"]
        )
        step = json.loads(output)[-1]
        self.assertEqual(step["name"], "tls", errors)
        self.assertEqual(status, 0 if step["ok"] else 1)
        tunnel = do("tunnel", "show", name)
        found = self.world.post(f"tunnels/{tunnel['id']}/check")["steps"][-1]
        self.assertEqual({**found, "milliseconds": 0}, {**step, "milliseconds": 0})
        last = do("tunnel", "show", name)["last_check"]
        self.assertEqual((last["ok"], last["text"]), (found["ok"], found["text"]))
        return found

    def test_a_targets_certificate(self):
        for name, days, ok, warning in [
            ("tls-good", 90, True, ""),
            ("tls-soon", 3.5, True, "ends in 3 days"),
            ("tls-over", -2.5, False, "ended 2 days ago"),
        ]:
            target = TLSTarget("localhost", datetime.now(UTC) + timedelta(days=days))
            self.addCleanup(target.close)
            found = self.doctor(name, "localhost", target.port)
            self.assertEqual((found["ok"], found["warning"]), (ok, warning))
            self.assertEqual(found["certificate"]["subject"], "localhost")
            ends = datetime.fromisoformat(found["certificate"]["ends_at"])
            self.assertEqual(ends, target.ends)

    def test_a_target_that_speaks_first_sees_a_check_end_in_order(self):
        """One that greets a moment after the connection gets no reset."""
        ends = queue.Queue()
        target = GreetingTarget(ends.put)
        self.addCleanup(target.close)
        tunnel = self.world.do("tunnel", "create", "greets", "--site", "paris",
                               "--address", "127.0.0.1", "--port", target.port)  # fmt: skip
        self.addCleanup(self.world.do, "tunnel", "delete", "greets", "--yes")
        for _ in range(3):
            found = self.world.post(f"tunnels/{tunnel['id']}/check")
            self.assertTrue(found["steps"][-1]["ok"])
            self.assertEqual(ends.get(timeout=PATIENCE), "ended")

    def test_a_target_that_has_no_certificate(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        for name, port, words in [
            ("tls-echo", self.world.echo.port, ""),
            ("tls-silent", silent.getsockname()[1], "didn't answer the TLS hello"),
        ]:
            found = self.doctor(name, "127.0.0.1", port)
            self.assertFalse(found["ok"])
            self.assertIsNone(found["certificate"])
            self.assertIn(words, found["text"])


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


class RevocationTests(WorldCase):
    """What is taken away ends what it had opened."""

    def hold(self, name):
        """Open a connection through a tunnel of its own; give it once bytes have passed."""
        self.world.tunnel(name, "127.0.0.1", self.world.echo.port)
        process, port = self.world.client.forward(
            "alice", f"{name}:{self.world.echo.port}", key=self.world.key
        )
        self.addCleanup(process.stop)
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.sendall(b"hello")
        self.assertEqual(connection.recv(5), b"hello")
        return connection, process

    def session_of(self, name):
        sessions = self.world.do("session", "list", "--live")["items"]
        for session in sessions:
            channels = self.world.do("session", "channels", session["id"])["items"]
            if any(channel["destination"] == name for channel in channels):
                return session
        raise AssertionError(f"no session has a channel to {name}")

    def test_an_assignment(self):
        kept, _ = self.hold("kept")
        lost, _ = self.hold("lost")
        self.world.do("unassign", "lost", "--user", "alice")
        self.assertEqual(lost.recv(1), b"", "the stream ends")
        kept.sendall(b"still here")
        self.assertEqual(kept.recv(10), b"still here")

    def ended(self, session_id):
        """Give a session once its end is written."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            session = self.world.do("session", "show", session_id)
            if session["ended_at"] is not None:
                return session
        raise AssertionError("the session's end isn't recorded")

    def test_a_session_ended_by_an_administrator(self):
        connection, process = self.hold("ended")
        session = self.session_of("ended")
        self.world.do("session", "end", session["id"])
        self.assertEqual(connection.recv(1), b"")
        process.wait_for("Received disconnect.*")
        past = self.ended(session["id"])
        self.assertEqual((past["bytes_to_target"], past["bytes_from_target"]), (5, 5))

    def stream_of(self, user, key):
        """Open a user's stream to the echo; give it, and their ssh."""
        process, port = self.world.client.forward(user, f"echo:{self.world.echo.port}", key=key)
        self.addCleanup(process.stop)
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.sendall(b"hello")
        self.assertEqual(connection.recv(5), b"hello")
        return connection, process

    def test_a_key(self):
        key = Keys(self.world.directory, "second-key")
        self.world.do("user", "create", "dave")
        self.world.do("assign", "echo", "--user", "dave", "--method", "key")
        added = self.world.do("key", "add", "dave", "--public-key", key.public)
        connection, process = self.stream_of("dave", key)
        self.world.do("key", "revoke", "dave", added["id"])
        self.assertEqual(connection.recv(1), b"")
        process.wait_for("the key was revoked")

    def test_a_key_that_expires_while_its_session_is_open(self):
        key = Keys(self.world.directory, "passing-key")
        self.world.do("user", "create", "erin")
        self.world.do("assign", "echo", "--user", "erin", "--method", "key")
        soon = datetime.now(UTC) + timedelta(seconds=4)
        self.world.do(
            "key", "add", "erin", "--public-key", key.public, "--expires", soon.isoformat()
        )
        connection, process = self.stream_of("erin", key)
        self.assertEqual(connection.recv(1), b"")
        process.wait_for("the key has expired")

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

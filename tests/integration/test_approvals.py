"""Connections that wait for an approval, with stock clients and real processes."""

import atexit
import contextlib
import json
import socket
import sys
import threading
from pathlib import Path

from sqlalchemy import make_url

from tests.clients.building import build
from tests.integration import library_clients
from tests.integration.processes import PATIENCE, Process
from tests.integration.targets import SocketTarget, SpeakingTarget, as_postgresql
from tests.integration.worlds import WorldCase
from tests.requirements import (
    require_executable,
    require_module,
    require_node_modules,
    require_pgadmin_python,
)
from tests.store.databases import postgres_server

_HERE = Path(library_clients.__file__).parent


class ApprovalTests(WorldCase):
    @classmethod
    def furnish(cls, world):
        world.do("user", "create", "bob")
        world.do("group", "create", "bosses")
        world.do("group", "add", "bosses", "bob")
        world.do("policy", "create", "ask", "--approval", "others", "--approvers", "bosses")
        world.do("assign", "echo", "--user", "alice", "--method", "key", "--policy", "ask")
        made = world.do("api-token", "create", "--title", "bob", "--role", "user", "--user", "bob")
        cls.bob = made["token"]
        cls.database = SpeakingTarget(as_postgresql(b"a row"))
        atexit.register(cls.database.close)
        world.tunnel("db", "127.0.0.1", cls.database.port, assign=False)
        world.do("assign", "db", "--user", "alice", "--method", "key", "--policy", "ask")

    def tearDown(self):
        for grant in self.world.ask("grants"):
            if not grant["ended_at"]:
                self.world.delete(f"grants/{grant['id']}")

    @property
    def target(self):
        return f"127.0.0.1:{self.world.echo.port}"

    def pending(self, count=1):
        """Wait until so many requests wait for an answer; give them."""
        for _ in range(PATIENCE * 10):
            found = self.world.ask("requests", status="pending")
            if len(found) >= count:
                return found
            threading.Event().wait(0.1)
        raise AssertionError("nobody asks")

    def decide(self, verb, *more):
        [request] = self.pending()
        gateway = self.world.gateway
        status, _, errors = gateway.run("request", verb, request["id"], *more, token=self.bob)
        self.assertEqual(status, 0, errors)

    def connect(self, port):
        stream = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.addCleanup(stream.close)
        return stream

    def test_a_pool_of_ten_makes_one_request_and_all_of_it_opens(self):
        port = self.through("alice", self.target, key=self.world.key)
        streams = [self.connect(port) for _ in range(10)]
        for number, stream in enumerate(streams):
            stream.sendall(b"%d" % number)
        self.decide("approve")
        for number, stream in enumerate(streams):
            self.assertEqual(stream.recv(10), b"%d" % number)

    def test_a_client_that_gives_up_succeeds_at_its_next_attempt(self):
        port = self.through("alice", self.target, key=self.world.key)
        self.connect(port).close()
        self.decide("approve")
        stream = self.connect(port)
        stream.sendall(b"again")
        self.assertEqual(stream.recv(10), b"again")

    def test_what_is_refused_says_so_in_the_approvers_words(self):
        # The last one by its name: the refusal is remembered for a minute.
        words = self.world.client.arguments("alice", "-W", self.target, key=self.world.key)
        client = Process(words, self.world.client.environment())
        self.addCleanup(client.stop)
        client.wait_for(
            "^db and others: a connection waits until it is approved at http://127.0.0.1:"
        )
        self.decide("refuse", "--reason", "not today")
        client.wait_for("echo: refused by bob: not today")

    def test_the_end_of_a_grant_cuts_the_stream(self):
        port = self.through("alice", self.target, key=self.world.key)
        stream = self.connect(port)
        stream.sendall(b"a")
        self.decide("approve")
        self.assertEqual(stream.recv(1), b"a")
        [grant] = [one for one in self.world.ask("grants") if not one["ended_at"]]
        self.world.do("grant", "end", grant["id"])
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(stream.recv(1), b"")

    def test_asked_for_beforehand(self):
        made = self.world.do(
            "api-token", "create", "--title", "alice", "--role", "user", "--user", "alice"
        )
        status, output, errors = self.world.gateway.run(
            "request", "create", "echo", "--for", "10m", "--reason", "an outage", "--json",
            token=made["token"],
        )  # fmt: skip
        self.assertEqual(status, 0, errors)
        self.assertEqual(json.loads(output)["reason"], "an outage")
        self.decide("approve")
        status, output, _ = self.world.client.run(
            "alice", "-W", self.target, key=self.world.key, sent=b"at once"
        )
        self.assertEqual((status, output), (0, b"at once"))
        explained = self.world.do(
            "explain", "alice", "echo", "--port", self.world.echo.port, "--method", "key"
        )
        [rule] = [one for one in explained["rules"] if one["rule"] == "approval"]
        self.assertIn("approved by bob until", rule["text"])

    def approve(self):
        """Approve what is asked without a command's start: some clients wait 10 s and no more."""
        [request] = self.pending()
        self.world.post(f"requests/{request['id']}/approve", {}, self.bob)

    def waits(self, words, expected, ready="", **environment):
        """Run a client whose channel is held: it asks once, and works once it is approved.

        :param ready: what a client that takes long to start says when it has.
        """
        before = len(self.world.ask("requests"))
        environment = {**self.world.client.environment(), **environment}
        client = Process(words, environment)
        self.addCleanup(client.stop)
        if ready:
            client.wait_for(f"^{ready}$", 2 * PATIENCE)
        self.approve()
        client.wait_for(f"^{expected}$")
        self.assertEqual(client.process.wait(PATIENCE), 0, client.rest())
        self.assertEqual(len(self.world.ask("requests")), before + 1)

    def library(self, *words, **environment):
        arguments = ("alice", "key", self.world.key.path, self.target, 100_000)
        self.waits([*words, self.world.gateway.ssh_port, *arguments], "whole", **environment)

    def test_paramiko_waits(self):
        require_module("paramiko")
        self.library(sys.executable, "-E", library_clients.__file__, "paramiko")

    def test_libssh2_waits(self):
        require_module("ssh2")
        self.library(sys.executable, "-E", library_clients.__file__, "libssh2")

    def test_sshtunnel_waits(self):
        """As pgAdmin calls it."""
        self.library(require_pgadmin_python(), "-E", library_clients.__file__, "sshtunnel")

    def test_pgadmin_waits(self):
        """What its own loader has read, opened by its own code."""
        file = self.world.directory / "servers.json"
        server = {
            "Name": "echo", "Group": "Servers", "Host": "127.0.0.1", "Port": self.world.echo.port,
            "MaintenanceDB": "postgres", "Username": "postgres", "UseSSHTunnel": 1,
            "TunnelHost": "127.0.0.1", "TunnelPort": str(self.world.gateway.ssh_port),
            "TunnelUsername": "alice", "TunnelAuthentication": 1,
            "TunnelIdentityFile": str(self.world.key.path),
        }  # fmt: skip
        file.write_text(json.dumps({"Servers": {"1": server}}))
        programs = (_HERE / "pgadmin_tunnel.py", _HERE.parent / "browser" / "pgadmin_loader.py")
        words = [require_pgadmin_python(), "-E", "-W", "ignore", *programs, file]
        self.waits(words, "whole", ready="open")

    def test_node_waits(self):
        modules = require_node_modules("ssh2")
        script = _HERE / "node_client.js"
        self.library(require_executable("node"), script, NODE_PATH=str(modules))

    def test_pools_of_database_connections_wait(self):
        """HikariCP and Tomcat's, ten connections each, through one tunnel of JSch."""
        program = build("pool")
        database = make_url(postgres_server().get_uri())
        target = SocketTarget(Path(database.query["host"]) / ".s.PGSQL.5432")
        self.addCleanup(target.close)
        self.world.tunnel("pooled", "127.0.0.1", target.port, assign=False)
        self.world.do("assign", "pooled", "--user", "alice", "--method", "key", "--policy", "ask")
        before = len(self.world.ask("requests"))
        arguments = ("alice", self.world.key.path, f"127.0.0.1:{target.port}")
        client = Process([*program, self.world.gateway.ssh_port, *arguments])
        self.addCleanup(client.stop)
        self.await_held(11)  # HikariCP asks for one after the other, Tomcat's pool for all at once
        self.approve()
        client.wait_for("^20 connections$", 2 * PATIENCE)
        self.assertEqual(len(self.world.ask("requests")), before + 1)

    def await_held(self, count):
        """Wait until the pod holds so many channels."""
        said = f"tunnelcloud_held_channels {count}.0"
        for _ in range(PATIENCE * 10):
            if said in self.world.gateway.get("/metrics"):
                return
            threading.Event().wait(0.1)
        raise AssertionError(f"the pod doesn't hold {count} channels")

    def psql(self):
        """Give the words of psql through a new ``ssh -L``."""
        port = self.through("alice", f"127.0.0.1:{self.database.port}", key=self.world.key)
        place = f"postgresql://nobody@127.0.0.1:{port}/any?sslmode=disable&gssencmode=disable"
        return [require_executable("psql"), "-X", "-A", "-t", "-c", "query", place]

    def test_psql_waits(self):
        self.waits(self.psql(), "a row")

    def test_psql_that_gives_up_gets_its_rows_at_its_next_attempt(self):
        words = self.psql()
        first = Process([*words[:-1], words[-1] + "&connect_timeout=2"])
        self.addCleanup(first.stop)
        first.wait_for("timeout expired")
        self.approve()
        second = Process(words)
        self.addCleanup(second.stop)
        second.wait_for("^a row$")
        self.assertEqual(self.world.ask("requests", status="pending"), [])

    def test_a_library_that_gives_up_opens_its_next_channel_on_the_same_connection(self):
        paramiko = require_module("paramiko")
        client = paramiko.SSHClient()
        self.addCleanup(client.close)
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1", self.world.gateway.ssh_port, "alice", timeout=PATIENCE,
            key_filename=str(self.world.key.path), look_for_keys=False, allow_agent=False,
        )  # fmt: skip
        there = ("direct-tcpip", ("127.0.0.1", self.world.echo.port), ("127.0.0.1", 1))
        transport = client.get_transport()
        with self.assertRaisesRegex(paramiko.SSHException, "Timeout opening channel"):
            transport.open_channel(*there, timeout=1)
        self.approve()
        channel = transport.open_channel(*there, timeout=PATIENCE)
        channel.settimeout(PATIENCE)
        channel.sendall(b"again")
        self.assertEqual(channel.recv(10), b"again")

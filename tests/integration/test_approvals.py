"""Connections that wait for an approval, with stock clients and real processes."""

import contextlib
import json
import socket
import threading

from tests.integration.processes import PATIENCE, Process
from tests.integration.test_end_to_end import WorldCase


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

    def tearDown(self):
        for grant in self.world.ask("grants"):
            if not grant["ended_at"]:
                self.world.do("grant", "end", grant["id"])

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

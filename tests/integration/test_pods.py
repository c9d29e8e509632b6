"""Two pods on one PostgreSQL: what is taken away on one takes effect on the other, and what may
be had once is had once, also when notices are lost or the database is away."""

import atexit
import itertools
import os
import signal
import socket
import tempfile
import time
import urllib.error
from pathlib import Path

import psycopg
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import (
    PATIENCE,
    Client,
    EchoTarget,
    Gateway,
    Keys,
    SiteConnector,
)
from tests.store.databases import postgres_execute, postgres_server

_FEED = "application_name = 'tunnelcloud change feed'"
AT_ONCE = 12


class Pods:
    """Two pods, a site whose connector has links to both, and an echo server."""

    def __init__(self):
        self._scratch = tempfile.TemporaryDirectory(prefix="tunnelcloud-pods-")
        directory = self.directory = Path(self._scratch.name)
        self.database = f"pods_{os.getpid()}"
        postgres_execute(f"CREATE DATABASE {self.database}")
        self.url = postgres_server().get_uri(self.database)
        settings = f'[database]\nurl = "{self.url}"'
        self.gateways = [Gateway(directory, settings, name=name) for name in ("pod-1", "pod-2")]
        # The second knows of both from the beginning, and tells the connector.
        self.do = self.gateways[1].do
        self.do("site", "create", "paris")
        created = self.do("connector", "create", "paris-1", "--site", "paris")
        self.connector = SiteConnector(directory, "paris-1", created["join"]["token"])
        self.clients = [Client(directory, gateway) for gateway in self.gateways]
        self.echo = EchoTarget()
        self._users = (f"user-{number}" for number in itertools.count(1))

    def user(self, *policy):
        """Make a user with a key and a tunnel; give all three, of one name."""
        name = next(self._users)
        key = Keys(self.directory, name)
        self.do("user", "create", name)
        added = self.do("key", "add", name, "--public-key", key.public)
        key.id = added["id"]
        self.do("tunnel", "create", name, "--site", "paris", "--address", "127.0.0.1",
                "--port", self.echo.port)  # fmt: skip
        words = ["--user", name, "--method", "token", "--method", "key"]
        if policy:
            self.do("policy", "create", name, *policy)
            words += ["--policy", name]
        self.do("assign", name, *words)
        return name, key

    def execute(self, statement):
        """Run a statement in the pods' database; give its rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement).fetchall()

    def close(self):
        self.echo.close()
        for gateway in self.gateways:
            gateway.process.stop()
        self.connector.process.stop()
        postgres_execute(f"DROP DATABASE {self.database} WITH (FORCE)")
        self._scratch.cleanup()


_pods: list[Pods] = []


class PodsCase(SynchronousTestCase):
    def setUp(self):
        if not _pods:
            _pods.append(Pods())
            atexit.register(_pods[0].close)
        self.pods = _pods[0]
        self.do = self.pods.do
        self.addCleanup(self.wait_until_ready)

    def eventually(self, look, what):
        deadline = time.monotonic() + PATIENCE
        while not look():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.1)

    def ready(self, pod):
        try:
            self.pods.gateways[pod].get("/readyz")
        except urllib.error.HTTPError as error:
            error.read()
            return False
        return True

    def wait_until_ready(self):
        for pod in (0, 1):
            self.eventually(lambda pod=pod: self.ready(pod), "both pods are ready")

    def hold(self, pod, name, key):
        """Open a connection through a pod; give it once bytes have passed."""
        target = f"{name}:{self.pods.echo.port}"
        process, port = self.pods.clients[pod].forward(name, target, key=key)
        self.addCleanup(process.stop)
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.sendall(b"hello")
        self.assertEqual(connection.recv(5), b"hello")
        return connection

    def logs_in(self, pod, name, key):
        return self.pods.clients[pod].run(name, key=key, command=["ls"])[0] == 0

    def feeds(self):
        return {row[0] for row in self.pods.execute(
            f"SELECT pid FROM pg_stat_activity WHERE {_FEED} AND datname = current_database()"
        )}  # fmt: skip


class LostNoticeTests(PodsCase):
    def test_a_feed_that_is_cut_off_again_and_again(self):
        name, key = self.pods.user()
        streams = [self.hold(pod, name, key) for pod in (0, 1)]
        for pid in self.feeds():
            self.pods.execute(f"SELECT pg_terminate_backend({pid})")
        self.do("unassign", name, "--user", name)
        for stream in streams:
            self.assertEqual(stream.recv(1), b"")
        for pod in (0, 1):
            self.assertFalse(self.logs_in(pod, name, key))

    def test_a_feed_that_falls_silent(self):
        name, key = self.pods.user()
        other, other_key = self.pods.user()
        streams = [self.hold(pod, name, key) for pod in (0, 1)]
        for pod in (0, 1):
            self.assertTrue(self.logs_in(pod, other, other_key))
        stopped = self.feeds()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(os.kill, pid, signal.SIGCONT)
        self.do("unassign", name, "--user", name)
        self.do("unassign", other, "--user", other)
        for pod in (0, 1):
            self.eventually(lambda pod=pod: not self.ready(pod), "it says that it hears nothing")
            self.assertFalse(self.logs_in(pod, other, other_key))
        for stream in streams:
            self.assertEqual(stream.recv(1), b"")
        for pod in (0, 1):
            self.eventually(lambda pod=pod: self.ready(pod), "it hears again")
            self.assertFalse(self.logs_in(pod, other, other_key))

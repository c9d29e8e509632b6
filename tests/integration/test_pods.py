"""Two pods on one PostgreSQL: what is taken away on one takes effect on the other, and what may
be had once is had once, also when notices are lost or the database is away."""

import asyncio
import atexit
import itertools
import os
import signal
import socket
import struct
import tempfile
import time
import urllib.error
from pathlib import Path

import asyncssh
import psycopg
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import PATIENCE, Client, Gateway, Keys, SiteConnector, run_async
from tests.integration.targets import EchoTarget
from tests.ssh.socket_client import PatientClient
from tests.store.databases import postgres_execute, postgres_server
from tunnelcloud.net.proxy_protocol import SIGNATURE

_FEED = "application_name = 'tunnelcloud change feed'"
AT_ONCE = 12
BALANCER = "127.0.0.200"
_BALANCERS = f'["{BALANCER}/32"]'


class Pods:
    """Some pods, a site whose connector has links to all, and an echo server."""

    def __init__(self, count=2):
        self._scratch = tempfile.TemporaryDirectory(prefix="tunnelcloud-pods-")
        directory = self.directory = Path(self._scratch.name)
        self.database = f"pods_{os.getpid()}"
        postgres_execute(f"CREATE DATABASE {self.database}")
        self.url = postgres_server().get_uri(self.database)
        settings = f'public_url = "http://portal.example.com"\n[database]\nurl = "{self.url}"'
        key = f'\nsealing_key_file = "{directory}/pod-1/sealing.key"'
        self.gateways = [
            Gateway(
                directory,
                settings + (key if number else ""),
                name=f"pod-{number + 1}",
                balancers=_BALANCERS,
            )
            for number in range(count)
        ]
        # The last knows of all from the beginning, and tells the connector.
        self.do = self.gateways[-1].do
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


class CutOffTests(PodsCase):
    """A pod that was away from its database, and what others made of that."""

    def hold_session(self):
        name, key = self.pods.user()
        stream = self.hold(0, name, key)
        [[session]] = self.pods.execute(f"SELECT id FROM sessions WHERE user_name = '{name}'")
        return session, stream

    def cut_feeds(self):
        for pid in self.feeds():
            self.pods.execute(f"SELECT pg_terminate_backend({pid})")

    def test_a_session_whose_record_another_pod_closed_goes_on(self):
        session, stream = self.hold_session()
        self.pods.execute(
            "UPDATE sessions SET ended_at = started_at, end_reason = 'reaped' "
            f"WHERE id = '{session}' RETURNING id"
        )
        self.cut_feeds()
        ended = f"SELECT ended_at FROM sessions WHERE id = '{session}'"
        self.eventually(lambda: self.pods.execute(ended) == [(None,)], "the record is reopened")
        stream.sendall(b"still")
        self.assertEqual(stream.recv(5), b"still")

    def test_after_the_database_was_away_for_all_nobody_is_buried(self):
        session, stream = self.hold_session()
        self.cut_feeds()
        self.pods.execute("UPDATE pods SET last_seen_at = 0 RETURNING id")
        seen = "SELECT count(*) FROM pods WHERE last_seen_at > 0"
        self.eventually(lambda: self.pods.execute(seen) == [(2,)], "both pods are there again")
        self.assertEqual(
            self.pods.execute(f"SELECT ended_at FROM sessions WHERE id = '{session}'"), [(None,)]
        )
        stream.sendall(b"still")
        self.assertEqual(stream.recv(5), b"still")


class DrainTests(PodsCase):
    """A pod is drained from the other one."""

    def test_nothing_new_is_let_in_and_what_is_open_goes_on(self):
        name, key = self.pods.user()
        stream = self.hold(0, name, key)
        self.do("pod", "drain", "pod-1")
        self.addCleanup(self.do, "pod", "resume", "pod-1")
        self.eventually(lambda: not self.ready(0), "the pod isn't ready")
        states = {one["name"]: one["state"] for one in self.do("pod", "list")["items"]}
        self.assertEqual(states, {"pod-1": "draining", "pod-2": "serving"})
        status, _, errors = self.pods.clients[0].run(name, key=key, command=["ls"])
        self.assertNotEqual(status, 0)
        self.assertIn(b"this pod is being drained", errors)
        self.assertTrue(self.logs_in(1, name, key))
        stream.sendall(b"still")
        self.assertEqual(stream.recv(5), b"still")
        self.do("pod", "resume", "pod-1")
        self.eventually(lambda: self.logs_in(0, name, key), "it takes new sessions again")


class PenaltyTests(PodsCase):
    """Whoever fails at one pod is slowed down at the other, too."""

    stranger = "192.0.2.77"

    def header(self, pod):
        """What a balancer says of the stranger's connection."""
        header = SIGNATURE + struct.pack(">BBH", 0x21, 0x11, 12)
        header += socket.inet_aton(self.stranger) + socket.inet_aton("127.0.0.1")
        return header + struct.pack(">HH", 4242, self.pods.gateways[pod].ssh_port)

    def is_refused(self, pod):
        port = self.pods.gateways[pod].ssh_port
        with socket.create_connection(("127.0.0.1", port), PATIENCE, (BALANCER, 0)) as stranger:
            stranger.sendall(self.header(pod) + b"SSH-2.0-stranger\r\n")
            said = b""
            while more := stranger.recv(1000):
                said += more
                if b"too many failed logins" in said:
                    return True
                if len(said) > 500:  # a KEXINIT: it may go on
                    return False
        return False

    def heard(self, client):
        """Wait for a message for as long as a busy machine takes."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return client.expect_any()
            except AssertionError:
                self.assertLess(time.monotonic(), deadline, "the pod answers")

    def fail_to_log_in(self, pod):
        client = PatientClient(self.pods.gateways[pod].ssh_port, source=BALANCER)
        client.write(self.header(pod))
        client.secure()
        for number in range(6):
            client.send_token(f"wrong-{number}")
            while self.heard(client)[0] == 53:  # the banner that says what to do
                pass
        client.lose()

    def test_after_failed_logins_at_the_one(self):
        self.assertFalse(self.is_refused(1))
        self.fail_to_log_in(0)
        self.eventually(lambda: self.is_refused(1), "the other pod refuses the stranger")
        self.assertTrue(self.is_refused(0))


class RaceTests(PodsCase):
    """Many at once, on both pods."""

    def race(self, logins):
        """Log in that often at once; give how many got in."""

        async def one(number, options):
            port = self.pods.gateways[number % 2].ssh_port
            try:
                connection = await asyncssh.connect(
                    "127.0.0.1", port, known_hosts=None, config=None, agent_path=None, **options
                )
            except asyncssh.PermissionDenied:
                return None
            return connection

        async def all_of_them():
            found = await asyncio.gather(*(one(*login) for login in enumerate(logins)))
            got_in = [connection for connection in found if connection is not None]
            for connection in got_in:
                connection.abort()
            return len(got_in)

        return run_async(all_of_them())

    def test_one_time_tokens(self):
        for policy, allowed in (((), 1), (("--max-token-sessions", "3"), 3)):
            name, _ = self.pods.user(*policy)
            token = self.do("token", "create", name, "--tunnel", name, "--sessions", allowed)
            options = {"username": name, "password": token["token"], "client_keys": None}
            self.assertEqual(self.race([options] * AT_ONCE), allowed)
            [[sessions]] = self.pods.execute(
                f"SELECT count(*) FROM sessions WHERE user_name = '{name}'"
            )
            self.assertEqual(sessions, allowed)

    def count_open(self, name, key, sessions, opens):
        """Have sessions of one user on one pod open so many channels each, at once.

        :return: how many opened.
        """

        async def run():
            connections = [
                await asyncssh.connect(
                    "127.0.0.1", self.pods.gateways[0].ssh_port, username=name, known_hosts=None,
                    config=None, agent_path=None, client_keys=[str(key.path)],
                )
                for _ in range(sessions)
            ]  # fmt: skip
            found = await asyncio.gather(
                *(
                    connection.open_connection(name, self.pods.echo.port)
                    for connection in connections
                    for _ in range(opens)
                ),
                return_exceptions=True,
            )
            for connection in connections:
                connection.abort()
            refused = [one for one in found if isinstance(one, BaseException)]
            for error in refused:
                self.assertIsInstance(error, asyncssh.ChannelOpenError)
            return len(found) - len(refused)

        return run_async(run())

    def test_limits_of_policies(self):
        name, key = self.pods.user("--max-channels", "5")
        self.assertEqual(self.count_open(name, key, 3, AT_ONCE), 5)
        name, key = self.pods.user("--max-sessions", "2")
        self.assertEqual(self.count_open(name, key, 2, 4), 8)
        self.assertEqual(self.count_open(name, key, 3, 4), 8)  # the newcomer has none

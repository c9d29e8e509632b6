"""A real primary and its standby: when the primary dies, pods go on with the promoted one."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import PATIENCE, free_port
from tests.requirements import require_executable
from tunnelcloud.store import sites
from tunnelcloud.store.changes import open_feed
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import StoreUnavailable

_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 16MB
wal_level = replica
hot_standby = on
fsync = off
"""


class Servers:
    """A primary with a synchronous standby, of Debian's PostgreSQL."""

    def __init__(self):
        require_executable("pg_ctlcluster")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_basebackup"))
        self._programs = found[-1].parent
        self._scratch = Path(tempfile.mkdtemp(prefix="tunnelcloud-failover-"))
        if os.geteuid() == 0:
            shutil.chown(self._scratch, "postgres")
        self.ports = [free_port(), free_port()]
        self.data = [self._scratch / name for name in ("first", "second")]
        self._run("initdb", "-D", self.data[0], "-U", "postgres", "-A", "trust", "-N")
        with (self.data[0] / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        self._start(0)
        source = f"host=127.0.0.1 port={self.ports[0]} user=postgres application_name=second"
        self._run("pg_basebackup", "-D", self.data[1], "-R", "-c", "fast", "-d", source)
        self._start(1)
        self.execute(0, "ALTER SYSTEM SET synchronous_standby_names = 'second'")
        self.execute(0, "SELECT pg_reload_conf()")

    @property
    def url(self):
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"postgresql://postgres@{hosts}/postgres"

    def execute(self, number, statement):
        import psycopg

        url = f"postgresql://postgres@127.0.0.1:{self.ports[number]}/postgres"
        with psycopg.connect(url, autocommit=True) as connection:
            return (
                connection.execute(statement).fetchall()
                if statement[:6] == "SELECT"
                else (connection.execute(statement))
            )

    def kill_primary(self):
        pid = int((self.data[0] / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)

    def promote(self):
        self._run("pg_ctl", "-D", self.data[1], "-w", "promote")
        self.execute(1, "ALTER SYSTEM SET synchronous_standby_names = ''")
        self.execute(1, "SELECT pg_reload_conf()")

    def close(self):
        for data in self.data:
            self._run("pg_ctl", "-D", data, "-m", "immediate", "stop", check=False)
        shutil.rmtree(self._scratch)

    def _start(self, number):
        log = self._scratch / f"{number}.log"
        options = f"-p {self.ports[number]}"
        self._run("pg_ctl", "-D", self.data[number], "-w", "-l", log, "-o", options, "start")

    def _run(self, name, *arguments, check=True):
        user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [self._programs / name, *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd="/",
            timeout=2 * PATIENCE,
            check=False,
            **user,
        )
        assert not check or done.returncode == 0, (name, done.returncode)


class Reactor(Clock):
    """A clock whose threads' calls are done by the test."""

    def __init__(self):
        super().__init__()
        self.waiting = []

    def callFromThread(self, call, *arguments):
        self.waiting.append((call, arguments))

    def turn(self):
        while self.waiting:
            call, arguments = self.waiting.pop(0)
            call(*arguments)


class FailoverTests(SynchronousTestCase):
    def eventually(self, look, what):
        deadline = time.monotonic() + 2 * PATIENCE
        while not look():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def test_pods_go_on_with_the_promoted_standby(self):
        servers = Servers()
        self.addCleanup(servers.close)
        stores = [open_store(servers.url, Path("/nonexistent")) for _ in range(2)]
        for store in stores:
            self.addCleanup(store.close)
            store.check()
        reactor, heard = Reactor(), []
        feed = open_feed(stores[1], reactor)
        feed.subscribe(heard.append)
        feed.start()
        self.addCleanup(feed.stop)
        acknowledged = []

        def write(number=0):
            name = f"site-{secrets.token_hex(4)}"
            try:
                acknowledged.append(stores[number].write(sites.create, name=name).id)
            except StoreUnavailable:
                return False
            return True

        def hears(change_id):
            reactor.turn()
            return any(getattr(one, "id", "") == change_id for one in heard)

        for _ in range(5):
            self.assertTrue(write())
        self.eventually(lambda: hears(acknowledged[-1]), "the feed is up")
        servers.kill_primary()
        self.eventually(lambda: not write(), "the primary is gone")
        servers.promote()
        for number in (0, 1):
            self.eventually(lambda number=number: write(number), "writes reach the new primary")
        self.eventually(lambda: write() and hears(acknowledged[-1]), "the feed is up again")
        kept = set(stores[1].read(lambda transaction: [
            one.id for one in sites.SITES.list_page(transaction, limit=1000).items
        ]))  # fmt: skip
        self.assertEqual(set(acknowledged) - kept, set())

"""A real primary and its synchronous standby, of Debian's PostgreSQL, and what befalls them."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.integration.processes import PATIENCE, free_port
from tests.requirements import require_executable

_SETTINGS = """
unix_socket_directories = ''
shared_buffers = 16MB
wal_level = replica
hot_standby = on
fsync = off
wal_sender_timeout = 5s
wal_receiver_timeout = 5s
wal_retrieve_retry_interval = 1s
"""
_NAMES = ("db1", "db2")  # FIRST is a word of synchronous_standby_names


class Servers:
    """Two servers, of which one is the primary.

    :param listen: the addresses that they listen on.
    :param source: the address by which a standby reaches its primary.
    :param environment: of both servers' processes.
    :ivar primary: the number of the one that is primary now.
    """

    def __init__(self, listen="127.0.0.1", source="127.0.0.1", environment=None):
        require_executable("pg_ctlcluster")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_basebackup"))
        self._programs = found[-1].parent
        self._source = source
        self._environment = {**os.environ, **(environment or {})}
        self._scratch = Path(tempfile.mkdtemp(prefix="tunnelcloud-failover-"))
        if os.geteuid() == 0:
            shutil.chown(self._scratch, "postgres")
        self.ports = [free_port(), free_port()]
        self.data = [self._scratch / name for name in _NAMES]
        self.primary = 0
        self._run("initdb", "-D", self.data[0], "-U", "postgres", "-A", "trust", "-N")
        with (self.data[0] / "postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}listen_addresses = '{listen}'\n")
        self.start(0)
        self.make_standby()

    @property
    def url(self):
        return self.url_by("127.0.0.1")

    def url_by(self, address):
        """Give the URL of both, as seen from where they are reached by an address."""
        hosts = ",".join(f"{address}:{port}" for port in self.ports)
        return f"postgresql://postgres@{hosts}/postgres"

    def execute(self, number, statement):
        """Run a statement on one of them; give the rows of a SELECT."""
        url = f"postgresql://postgres@127.0.0.1:{self.ports[number]}/postgres"
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            found = connection.execute(statement)
            return found.fetchall() if statement[:6] == "SELECT" else []

    def kill_primary(self):
        """End the primary as if its machine had died; its children notice."""
        os.kill(self._postmaster(self.primary), signal.SIGQUIT)

    def pids(self, number):
        """Give the ids of the processes of one of them, its first one first."""
        postmaster = self._postmaster(number)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    def promote(self):
        """Have the standby be the primary, without a standby of its own."""
        self.primary = 1 - self.primary
        self._run("pg_ctl", "-D", self.data[self.primary], "-w", "promote")
        self._wait_for("")

    def make_standby(self):
        """Make a standby anew, and have the primary wait for it from now on."""
        number = 1 - self.primary
        shutil.rmtree(self.data[number], ignore_errors=True)
        name = _NAMES[number]
        source = f"host={self._source} port={self.ports[self.primary]} user=postgres"
        source += f" application_name={name} connect_timeout=2"
        self._run(
            "pg_basebackup", "-D", self.data[number], "-R", "-c", "fast", "-d", source
        )  # fmt: skip
        self.start(number)
        self._wait_for(name)

    def start(self, number):
        """Start one of them, and wait until it answers."""
        log = self._scratch / f"{number}.log"
        options = f"-p {self.ports[number]}"
        self._run("pg_ctl", "-D", self.data[number], "-w", "-l", log, "-o", options, "start")

    def stop(self, number):
        """End one of them at once, if it runs."""
        data = self.data[number]
        self._run("pg_ctl", "-D", data, "-m", "immediate", "stop", check=False)

    def close(self):
        for number in (0, 1):
            self.stop(number)
        shutil.rmtree(self._scratch)

    def _wait_for(self, standby):
        """Have the primary acknowledge nothing that this standby hasn't got."""
        self.execute(self.primary, f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
        self.execute(self.primary, "SELECT pg_reload_conf()")

    def _postmaster(self, number):
        return int((self.data[number] / "postmaster.pid").read_text().split()[0])

    def _run(self, name, *arguments, check=True):
        user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [self._programs / name, *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=self._environment,
            timeout=2 * PATIENCE,
            check=False,
            **user,
        )
        assert not check or done.returncode == 0, (name, done.returncode)

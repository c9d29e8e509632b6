"""What a campaign of faults breaks: pods, their database, a site, and the network between them.

All of it runs in a network of its own, on loopback.  Who reaches whom is told apart by address, so
that a rule of the packet filter parts two of them without a word to either.
"""

import asyncio
import contextlib
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request

import asyncssh

from tests.campaigns import fault_points
from tests.integration.database_servers import Servers
from tests.integration.processes import Gateway, SiteConnector, free_port
from tests.requirements import require_executable

DATABASE_ADDRESSES = ("127.0.1.1", "127.0.2.1")
LINK_ADDRESSES = ("127.0.3.1", "127.0.4.1")
REPLICATION = "127.0.5.1"
SILENT = "127.0.6.1"
RESOLVER = "127.0.9.9"
DOMAIN = "campaign.test"
USERS = 7
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
_BLOCK = bytes(1 << 20)
PREPARATION = "from tests.campaigns.fault_points import install; install()\n"


def silence(address, begin=True):
    """Drop all packets to and from an address, or no more."""
    iptables = require_executable("iptables")
    for side in ("-d", "-s"):
        words = [iptables, "-w", "-A" if begin else "-D", "INPUT", side, address, "-j", "DROP"]
        subprocess.run(words, check=True, capture_output=True)


class Resolver(threading.Thread):
    """A DNS server that knows any name of its domain, while it isn't dead."""

    def __init__(self):
        super().__init__(daemon=True)
        self.is_dead = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((RESOLVER, 53))

    def run(self):
        while True:
            query, client = self.socket.recvfrom(2000)
            if not self.is_dead:
                self.socket.sendto(self.answer(query), client)

    def answer(self, query):
        end = query.index(b"\0", 12) + 5
        is_v4 = query[end - 4 : end - 2] == b"\0\1"
        head = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_v4 else b"\0\0") + b"\0\0\0\0"
        found = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton("127.0.0.1")
        return head + query[12:end] + (found if is_v4 else b"")


class Clock:
    """The clock of some processes, which may jump."""

    def __init__(self, directory, name):
        self.file = directory / f"{name}.clock"
        self.environment = {
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.jump(0)

    @property
    def prefix(self):
        return ("env", *(f"{name}={value}" for name, value in self.environment.items()))

    def jump(self, seconds):
        """Put the clock that far ahead of the machine's."""
        beside = self.file.with_suffix(".new")
        beside.write_text(f"{seconds:+d}\n")
        beside.chmod(0o644)
        beside.rename(self.file)


class Site:
    """Pods on a database, two connectors, users with keys, and tunnels.

    :param engine: ``sqlite`` for one pod, ``postgresql`` for two.
    :param directory: on a file system of its own, which the campaign fills.
    """

    def __init__(self, engine, directory):
        require_executable("faketime")
        directory.chmod(0o755)
        self.directory = directory
        self.resolver = Resolver()
        self.resolver.start()
        self.servers = None
        self.clocks = {}
        if engine == "postgresql":
            clock = self.clock("database")
            self.servers = Servers("*", REPLICATION, clock.environment)
        self.pods = []
        for number in range(2 if self.servers else 1):
            self.pods.append(self.pod(number))
        self.connectors = []
        self.api(0, "POST", "/sites", {"name": "paris"})
        for number in range(2):
            self.connectors.append(self.connector(number))
        self.port = free_port()
        self.silent_port = free_port()
        silence(SILENT)
        self.tunnels = {
            "echo": self.tunnel("echo", "127.0.0.1", self.port),
            "slow": self.tunnel("slow", SILENT, self.silent_port),
        }
        self.users = [self.user(number) for number in range(USERS)]

    def clock(self, name):
        self.clocks[name] = Clock(self.directory, name)
        return self.clocks[name]

    def pod(self, number):
        name = f"pod-{number + 1}"
        points = {fault_points.DIRECTORY: self.directory, fault_points.NAME: name}
        prefix = (*self.clock(name).prefix, *(f"{key}={value}" for key, value in points.items()))
        settings = ""
        if self.servers:
            settings = f'[database]\nurl = "{self.servers.url_by(DATABASE_ADDRESSES[number])}"'
            if number:
                settings += f'\nsealing_key_file = "{self.directory}/pod-1/sealing.key"'
        return Gateway(
            self.directory,
            settings,
            name=name,
            link_host=LINK_ADDRESSES[number],
            prefix=prefix,
            preparation=PREPARATION,
        )

    def connector(self, number):
        wanted = {"name": f"paris-{number + 1}", "site_id": self.find("/sites", "paris")}
        made = self.api(0, "POST", "/connectors", wanted)
        prefix = self.clock(wanted["name"]).prefix
        return SiteConnector(self.directory, wanted["name"], made["join"]["token"], prefix)

    def tunnel(self, name, address, port):
        wanted = {
            "name": name,
            "site_id": self.find("/sites", "paris"),
            "target_address": address,
            "target_ports": [port],
        }
        return self.api(0, "POST", "/tunnels", wanted)["id"]

    def user(self, number):
        """Make a user with a key, who may use all tunnels; give name, id, key and assignments."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        made = self.api(0, "POST", "/users", {"name": f"user{number}"})
        public = key.export_public_key().decode().strip()
        added = {"title": "key", "public_key": public}
        self.api(0, "POST", f"/users/{made['id']}/keys", added)
        for tunnel in self.tunnels.values():
            self.assign(0, tunnel, made["id"])
        return made["name"], made["id"], key

    def assign(self, pod, tunnel, user):
        """Let a user use a tunnel; give the path of the assignment."""
        wanted = {"user_id": user, "methods": ["key", "token"]}
        path = f"/tunnels/{tunnel}/assignments"
        return f"{path}/{self.api(pod, 'POST', path, wanted)['id']}"

    def find(self, path, name):
        return next(one["id"] for one in self.api(0, "GET", path)["items"] if one["name"] == name)

    def api(self, pod, method, path, body=None, patience=45):
        """Ask a pod's API.

        :raise urllib.error.HTTPError: it refused, or couldn't.
        :raise OSError: nobody knows.
        """
        token = self.pods[0].admin_token
        return self.pods[pod].api(method, path, body, token=token, patience=patience)

    def is_ready(self, pod):
        url = f"http://127.0.0.1:{self.pods[pod].web_port}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return True
        except (OSError, urllib.error.HTTPError):
            return False

    async def until_ready(self, patience):
        """Wait until all pods are ready; give the seconds, or None if they aren't in time."""
        began = time.monotonic()
        while time.monotonic() - began < patience:
            ready = [await asyncio.to_thread(self.is_ready, n) for n in range(len(self.pods))]
            if all(ready):
                return time.monotonic() - began
            await asyncio.sleep(0.2)
        return None

    def rows(self, statement):
        """Read from the database itself, whatever the pods say."""
        if self.servers:
            return self.servers.execute(self.servers.primary, statement)
        path = self.pods[0].state / "tunnelcloud.sqlite3"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def fill(self):
        """Leave no room on the disk; give the file that takes it."""
        filler = self.directory / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(_BLOCK):
                pass
        return filler

    def logs(self):
        """Give what each process has said, by its name."""
        named = {one.name: one for one in self.pods}
        named |= {f"connector {number + 1}": one for number, one in enumerate(self.connectors)}
        return {name: list(one.process.said()) for name, one in named.items()}

    def close(self):
        for one in (*self.pods, *self.connectors):
            if one.process.process.poll() is None:
                one.process.process.send_signal(signal.SIGCONT)
                one.process.stop()
        if self.servers:
            self.servers.close()

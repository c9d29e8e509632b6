"""A clock, an API and an ssh of the test's own, for several tunnels that are kept open."""

from datetime import UTC, datetime

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.cli import local_ports
from tunnelcloud.cli import ssh_connection as link_module
from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.open_tunnels import Places, Together, Wanted
from tunnelcloud.cli.own_tunnels import Tunnels
from tunnelcloud.cli.retrying import Pace
from tunnelcloud.cli.ssh_connection import Link

NOW = datetime(2026, 3, 2, tzinfo=UTC).isoformat()


def item(number, name, **fields):
    return {
        "id": f"tun_{number:026d}",
        "created_at": NOW,
        "name": name,
        "title": "",
        "site_id": "sit_1",
        "target_address": f"10.0.0.{number}",
        "target_ports": ["5432"],
        "local_port_offset": 0,
        "external_address": None,
        "enabled": True,
        "methods": ["token"],
        "ssh_address": "pod.example.com:2222",
        "standing": "ready",
        "state": "Ready",
        **fields,
    }


class FakeApi:
    def __init__(self):
        self.items = []
        self.fault = None

    def each(self, path):
        if self.fault is not None:
            raise self.fault
        return iter(self.items)

    def get(self, path):
        return {"user": {"name": "alice"}}

    def text(self, path):
        return "[pod.example.com]:2222 ssh-ed25519 AAAA\n"


class FakeSsh:
    """An ssh that does as the test says."""

    started = []
    refused = ()

    def __init__(self, words, known_hosts, token, *, shared):
        self.words, self.token, self.known_hosts = words, token, known_hosts
        self.lines = []
        self.ready = self.over = self.ended = False
        self.changes = []
        self.started.append(self)

    @property
    def forwards(self):
        return [self.words[at + 1] for at, word in enumerate(self.words) if word == "-L"]

    def is_ready(self):
        return self.ready

    def has_ended(self):
        return self.over

    def said(self):
        lines, self.lines = self.lines, []
        return lines

    def forward(self, forward):
        if any(part in forward for part in self.refused):
            raise Failed(f"Port forwarding failed: {forward}")
        self.changes.append(("forward", forward))

    def cancel(self, forward):
        self.changes.append(("cancel", forward))

    def end(self):
        self.ended = True


class FakeBoard:
    def __init__(self):
        self.told = []

    def show(self, shown):
        self.rows = {row.name: row.state for row in shown}

    def tell(self, text):
        self.told.append(text)


class TogetherCase(SynchronousTestCase):
    own = True

    def setUp(self):
        self.api, self.board = FakeApi(), FakeBoard()
        self.now = 0.0
        self.tokens = []
        self.token_fault = None
        self.asked = 0
        self.patch(FakeSsh, "started", [])
        self.in_use = set()
        self.patch(local_ports, "_fault", self.fault_at)
        self.patch(link_module, "is_free", lambda address, port: (address, port) in self.free)
        self.free = set()
        self.api.items = [item(1, "db"), item(2, "web"), item(3, "cache")]

    def fault_at(self, address, port):
        return 98 if port in self.in_use else 0

    def token(self):
        self.asked += 1
        if self.token_fault is not None:
            raise self.token_fault
        self.tokens.append(f"token {len(self.tokens)}")
        return self.tokens[-1]

    def begin(self, *names, **wanted):
        def link(*arguments):
            return Link(*arguments, start=FakeSsh, pace=Pace(lambda: 1.0))

        self.together = Together(
            Wanted(names, **wanted),
            lambda: Tunnels(self.api),
            self.token,
            self.board,
            places=Places(self.own),
            clock=lambda: self.now,
            link=link,
        )
        self.together.begin()
        self.step()

    def step(self, seconds=0.0):
        self.now += seconds
        return self.together.step()

    @property
    def ssh(self):
        return FakeSsh.started[-1]

    def be_up(self):
        self.ssh.ready = True
        self.step(0.1)

    def lose(self, *said):
        self.ssh.lines = list(said)
        self.ssh.over = True
        self.step(0.1)

    def address(self, name):
        return next(row.address for row in self.together.rows if row.name == name)

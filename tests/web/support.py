"""The real resource tree over an in-memory wire, with the real store and a pod that is told."""

import atexit
import json
import queue
import shutil
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tunnelcloud.domain.join_tokens import JoinToken
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.net.fetching import FetchFailed
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store import api_tokens, users
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.engine import open_store
from tunnelcloud.web.interfaces import (
    Authority,
    CertificateState,
    ILivePod,
    LastCheck,
    PublicHostKey,
    Usage,
)
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.tree import make_site, route_table

NOW = 1_800_000_000.0
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVYn83FzDvlCfEbgXjrQM4SCyZZ4WSjCBlEeQ1lEgdK"


@implementer(ILivePod)
@define
class ToldPod:
    """A pod that has open what a test says, and remembers what it was asked to end."""

    pod_id: str = "pod_" + "0" * 26
    ssh_public_address: PublicAddress = field(default=PublicAddress("pod.example.com", 2222))
    sessions: list = field(factory=list)
    channels: dict = field(factory=dict)
    used: Usage = field(factory=Usage)
    health: dict = field(factory=dict)
    steps: list = field(factory=lambda: [DoctorStep("connect", True, 1.5, "10.0.0.5:5432 answers")])
    ended: list = field(factory=list)
    warning: str | None = None
    checked: dict = field(factory=dict)
    lost: dict = field(factory=dict)
    faults: dict = field(factory=dict)
    certificate: CertificateState | None = None
    endings: list = field(factory=list)
    kept_out: list = field(factory=list)
    checked_for: str = ""
    started_at: datetime = datetime(2020, 1, 1, tzinfo=UTC)

    def shut_out(self, most):
        return self.kept_out[:most]

    def let_in(self, transaction, source):
        self.ended.append((source, "let in"))

    def lost_connectors(self):
        return self.lost

    def external_address_warning(self, name):
        return succeed(self.warning and f"{name} {self.warning}")

    def live_session(self, session_id):
        return next((one for one in self.sessions if one.id == session_id), None)

    def live_channels(self, session_id):
        return self.channels.get(session_id, [])

    def usage(self, user_id):
        return self.used

    def end_session(self, session_id, reason):
        self.ended.append((session_id, reason))
        return succeed(True)

    def end_channel(self, channel_id, reason):
        self.ended.append((channel_id, reason))
        return succeed(True)

    def pods_of(self, connector_id):
        return int(connector_id in self.health), 1

    def cloned_connectors(self):
        return {}

    def attached_connectors(self):
        return frozenset(self.health)

    def connector_health(self, connector_id):
        return self.health.get(connector_id)

    def check_tunnel(self, tunnel, port, whose):
        self.checked_for = whose
        ok = all(step.ok for step in self.steps)
        at = datetime.fromtimestamp(NOW, UTC)
        self.checked[tunnel.id] = LastCheck(at, ok, tuple(self.steps))
        return succeed(self.steps)

    def authorities(self):
        return [Authority("ab" * 32, datetime.fromtimestamp(NOW + 86_400, UTC))]

    def last_check(self, tunnel_id):
        return self.checked.get(tunnel_id)

    def target_faults(self, tunnel_id):
        """Tell of what a test says; else as if each port had been checked."""
        found = self.checked.get(tunnel_id)
        fault = "" if found is None or found.ok else found.steps[-1].text
        return self.faults.get(tunnel_id, dict.fromkeys(range(1, 10_000), fault))

    def failing_targets(self):
        return {one: found.steps[-1].text for one, found in self.checked.items() if not found.ok}

    def target_certificates(self):
        return {
            one: found.steps[-1].certificate.ends_at
            for one, found in self.checked.items()
            if found.steps[-1].certificate
        }

    def web_certificate(self):
        return self.certificate

    def known_hosts_lines(self):
        return [
            f"{host} {kind} AAAA"
            for host in ("[pod.example.com]:2222", "[db.example.com]:2222")
            for kind in ("ssh-ed25519", "ssh-rsa")
        ]

    def ending(self):
        return self.endings

    def host_keys(self):
        return [PublicHostKey(f"{kind} AAAA", "SHA256:abc") for kind in ("ssh-ed25519", "ssh-rsa")]

    def join_token(self, secret):
        return JoinToken(PublicAddress("pod.example.com", 8443), bytes(32), secret)


class QueuedReactor:
    """Runs in the test's thread what other threads hand over.

    :ivar time: of its calls that come later.
    """

    def __init__(self):
        self.time = Clock()
        self._calls = queue.Queue()

    def callLater(self, delay, function, *args):
        return self.time.callLater(delay, function, *args)

    def callFromThread(self, function, *args):
        self._calls.put((function, args))

    def run_one(self):
        function, args = self._calls.get(timeout=20)
        function(*args)


@define
class Answer:
    status: int
    headers: dict
    body: bytes
    cookies: list = field(factory=list)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def faults(self):
        """The fields at fault."""
        return [error["field"] for error in self.json["errors"]]


def read_chunks(raw):
    """Take a chunked body apart (RFC 9112, 7.1); None while it isn't whole."""
    found = b""
    while True:
        size, end, raw = raw.partition(b"\r\n")
        if not end or len(raw) < int(size, 16) + 2:
            return None
        if size == b"0":
            return found
        found, raw = found + raw[: int(size, 16)], raw[int(size, 16) + 2 :]


def read_answer(raw, without_body=False):
    """Take a whole HTTP answer apart; None while it isn't whole."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    if not blank:
        return None
    lines = head.decode("ascii").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines[1:]]
    headers = {name.lower(): value for name, value in pairs}
    cookies = [value for name, value in pairs if name.lower() == "set-cookie"]
    status = int(lines[0].split(" ")[1])
    if headers.get("transfer-encoding") == "chunked" and not without_body:
        whole = read_chunks(body)
        return None if whole is None else Answer(status, headers, whole, cookies)
    if not without_body and len(body) < int(headers.get("content-length", 0)):
        return None
    return Answer(status, headers, body, cookies)


@cache
def template_state():
    """Make a state directory with an empty store, once: bringing one up takes a while."""
    state = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, state)
    open_store("sqlite", state).close()
    return state


class ApiTestCase(SynchronousTestCase):
    """A pod's web listener with an empty store and one API token of each role."""

    web_url = "https://portal.example.com"

    def setUp(self):
        state = Path(self.mktemp())
        shutil.copytree(template_state(), state)
        self.store = open_store("sqlite", state)
        self.addCleanup(self.store.close)
        self.reactor = self.make_reactor()
        self.clock = Clock()
        self.clock.advance(NOW)
        self.live = ToldPod()
        self.checks = {}
        self.context = ApiContext(
            store=AsyncStore(self.store, self.reactor),
            live=self.live,
            clock=self.clock,
            web_url=self.web_url,
            fetch=self.fetch,
            tell_time=lambda: datetime.fromtimestamp(self.clock.seconds(), UTC),
        )
        self.table = route_table(self.context, "1.2.3")
        self.answers, self.wrong = {}, None
        self.site = make_site(
            self.context,
            version="1.2.3",
            metrics=lambda: ("text/plain", b"opened_channels_total 3.0\n"),
            ready_checks=self.checks,
            warning=lambda: self.wrong,
            challenge_answer=self.answers.get,
        )
        self.people = {}
        self.secrets = {None: None}
        for role in Role:
            secret = f"tca_{role}"
            self.people[role] = self.store.write(users.create, name=f"the-{role}", role=role)
            self.store.write(
                api_tokens.create,
                title=str(role),
                role=role,
                secret_hash=hash_secret(secret),
                user_id=self.people[role].id,
            )
            self.secrets[role] = secret

    def make_reactor(self):
        return QueuedReactor()

    def received(self, channel, data):
        """Give a channel what a client sent."""
        channel.dataReceived(data)

    async def fetch(self, *_):
        """Stand for the network."""
        raise FetchFailed("there is no network in this test")

    def raw(self, data, peer="192.168.1.1"):
        """Send bytes on a new connection from ``peer`` and give the whole answer."""
        transport = StringTransport(peerAddress=IPv4Address("TCP", peer, 54321))
        channel = self.site.buildProtocol(None)
        channel.makeConnection(transport)
        self.clock.advance(0)  # each read has a turn of the reactor of its own
        self.received(channel, data)
        self.clock.advance(0)
        is_head = data.startswith(b"HEAD ")
        while (answer := read_answer(transport.value(), is_head)) is None:
            self.reactor.run_one()
        # What its keep-alive timer would do later.
        channel.setTimeout(None)
        return answer

    def ask(self, method, path, body=None, role=Role.ADMIN, headers=()):
        """Ask the API, as the bearer of a role's token."""
        lines = [f"{method} {path} HTTP/1.1", "Host: pod"]
        if self.secrets[role] is not None:
            lines.append(f"Authorization: Bearer {self.secrets[role]}")
        lines += [f"{name}: {value}" for name, value in dict(headers).items()]
        data = b""
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            if "Content-Type" not in dict(headers):
                lines.append("Content-Type: application/json")
            lines.append(f"Content-Length: {len(data)}")
        return self.raw("\r\n".join([*lines, "", ""]).encode() + data)

    def api(self, method, path, body=None, expect=None, **kwargs):
        """Ask below ``/api/v1``, insist on success, and give the object of the answer."""
        answer = self.ask(method, f"/api/v1{path}", body, **kwargs)
        if expect is None:
            self.assertLess(answer.status, 300, answer.body)
        else:
            self.assertEqual(answer.status, expect, answer.body)
        return answer.json if answer.body else None

    def make_site(self, name="paris"):
        return self.api("POST", "/sites", {"name": name})

    def make_tunnel(self, name="db", **fields):
        site = self.api("GET", "/sites?name=paris")["items"] or [self.make_site()]
        body = {
            "name": name,
            "site_id": site[0]["id"],
            "target_address": "10.0.0.5",
            "target_ports": ["5432"],
        }
        made = self.api("POST", "/tunnels", {**body, **fields})
        made.pop("warnings")
        return made

    def make_user(self, name="alice", **fields):
        return self.api("POST", "/users", {"name": name, **fields})

    def assign(self, tunnel, user, methods=("token", "key"), **fields):
        body = {"user_id": user["id"], "methods": list(methods), **fields}
        return self.api("POST", f"/tunnels/{tunnel['id']}/assignments", body)

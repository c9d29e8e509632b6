"""Policies as users meet them: what ends by the clock, and the same words everywhere."""

import html
import http.cookiejar
import re
import socket
import time
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import PATIENCE, Process, free_port
from tests.integration.targets import EchoTarget
from tests.integration.worlds import World

PASSWORD = "a long enough password"
UNTIL_THE_MINUTE = 20
"""Seconds before a window's end at which the pod is started."""

ENOUGH = 8
"""Seconds that ssh needs to have its streams open."""


class PolicyCase(SynchronousTestCase):
    def make_world(self, **settings):
        self.echo = EchoTarget()
        self.addCleanup(self.echo.close)
        self.world = World(**settings)
        self.addCleanup(self.world.close)
        self.do = self.world.do

    def make_tunnel(self, name, *policy):
        """Make a tunnel to the echo server, which alice may open under a policy of its name."""
        self.world.tunnel(name, "127.0.0.1", self.echo.port, assign=False)
        words = ["assign", name, "--user", "alice", "--method", "key"]
        if policy:
            self.do("policy", "create", name, *policy)
            words += ["--policy", name]
        self.do(*words)

    def connect(self, port):
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.sendall(b"hello")
        self.assertEqual(connection.recv(5), b"hello")
        return connection

    def session(self, *names):
        """Open one session that forwards to several tunnels; give it and the local ports."""
        ports = [free_port() for _ in names]
        words = ["-v", "-N"]
        for name, port in zip(names, ports, strict=True):
            words += ["-L", f"127.0.0.1:{port}:{name}:{self.echo.port}"]
        client = self.world.client
        process = Process(
            client.arguments("alice", *words, key=self.world.key), client.environment()
        )
        self.addCleanup(process.stop)
        process.wait_for("Entering interactive session")
        return process, ports

    def recorded_reason(self, name):
        """Give why the one connection through a tunnel ended, once that is written."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for event in self.world.ask("audit", event="channel.closed", tunnel_name=name):
                return event["data"]["reason"]
        raise AssertionError(f"the end of the connection through {name} isn't recorded")

    def wire_reason(self, name):
        """Ask a real ssh for a tunnel; give the reason that it shows."""
        target = f"{name}:{self.echo.port}"
        status, _, errors = self.world.client.run("alice", "-W", target, key=self.world.key)
        self.assertNotEqual(status, 0)
        [line] = [line for line in errors.decode().splitlines() if "open failed" in line]
        return line.partition("prohibited: ")[2].strip()


class WindowTests(PolicyCase):
    def test_its_end_closes_one_stream_and_leaves_the_other(self):
        now = datetime.now(UTC)
        ahead = (60 - UNTIL_THE_MINUTE - now.second - now.microsecond / 1e6) % 60
        self.make_world(ahead=ahead)
        self.make_tunnel("always")
        start = datetime.now(UTC) + timedelta(seconds=ahead)
        # Where the machine was slow, the minute after is early enough.
        end = (start + timedelta(seconds=60 + ENOUGH)).replace(second=0, microsecond=0)
        closing = "24:00" if (end.hour, end.minute) == (0, 0) else f"{end:%H:%M}"
        self.make_tunnel("office", "--window", f"{start:%a} 00:00-{closing} UTC")
        process, ports = self.session("office", "always")
        closed, whole = map(self.connect, ports)
        closed.settimeout(60 + 2 * ENOUGH)
        self.assertEqual(closed.recv(1), b"")
        late = (datetime.now(UTC) + timedelta(seconds=ahead) - end).total_seconds()
        self.assertGreater(late, 0)
        self.assertLess(late, 2, "seconds after the window's end")
        data = bytes(range(256)) * 4096
        whole.settimeout(PATIENCE)
        received = bytearray()
        for start_at in range(0, len(data), 65536):
            whole.sendall(data[start_at : start_at + 65536])
            while len(received) < start_at + 65536:
                received += whole.recv(65536)
        self.assertEqual(bytes(received), data)
        # The same session, once more: the reason is on the wire, and in the audit.
        socket.create_connection(("127.0.0.1", ports[0]), timeout=PATIENCE).close()
        said = process.wait_for("open failed: .*prohibited: (office: opens .*)")[1].strip()
        self.assertEqual(self.recorded_reason("office"), said)


class ReasonTests(PolicyCase):
    def page(self, user):
        """Sign an auditor in, by the link that `user invite` gives."""
        self.do("user", "create", user, "--role", "auditor")
        link = self.do("user", "invite", user)["url"]
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.browser = urllib.request.build_opener(jar)
        form = self.browser.open(link, timeout=PATIENCE).read().decode()
        csrf = re.search(r'name="csrf" value="([^"]+)"', form)[1]
        fields = {"csrf": csrf, "password": PASSWORD, "again": PASSWORD}
        self.browser.open(link, urllib.parse.urlencode(fields).encode(), timeout=PATIENCE)

    def page_reason(self, name, **more):
        query = {"user": "alice", "tunnel": name, "port": self.echo.port, "method": "key",
                 "source_ip": "127.0.0.1", **more}  # fmt: skip
        url = f"http://127.0.0.1:{self.world.gateway.web_port}/admin/explain?"
        found = self.browser.open(url + urllib.parse.urlencode(query), timeout=PATIENCE)
        answer = found.read().decode().partition("Refused</span></h2>")[2]
        return html.unescape(re.search(r"<p>(.*?)</p>", answer)[1])

    def explained(self, name, *words):
        answer = self.do(
            "explain", "alice", name, "--port", self.echo.port, "--method", "key",
            "--source-ip", "127.0.0.1", *words,
        )  # fmt: skip
        self.assertIs(answer["allowed"], False)
        failed = [rule["text"] for rule in answer["rules"] if not rule["passed"]]
        self.assertIn(answer["reason"], failed)
        return answer["reason"]

    def test_wire_explanation_and_page_say_the_same(self):
        self.make_world()
        self.page("olga")
        soon = datetime.now(UTC) + timedelta(days=2)
        day = f"{soon:%a}"
        for name, policy, words in [
            ("elsewhere", ["--source", "10.0.0.0/8"],
             "elsewhere: not open to connections from 127.0.0.1"),
            ("later", ["--from", "2127-01-01T00:00Z"], "later: opens 2127-01-01 00:00 UTC"),
            ("over", ["--until", "2026-01-01T00:00Z"], "over: closed 2026-01-01 00:00 UTC"),
            ("shut", ["--window", f"{day} 09:00-10:00 Europe/Paris"],
             f"shut: opens {day} 09:00 Europe/Paris"),
            ("one-channel", ["--max-channels", "1"],
             "one-channel: 1 of 1 connections are open"),
            ("one-session", ["--max-sessions", "1"], "one-session: 1 of 1 sessions are open"),
        ]:  # fmt: skip
            self.make_tunnel(name, *policy)
            if name == "one-channel":
                _, [port] = self.session(name)
                self.connect(port)
            self.assertEqual(self.wire_reason(name), words)
            self.assertEqual(self.explained(name), words)
            self.assertEqual(self.page_reason(name), words)
        # A session that another tunnel keeps open grows too old for this one.
        self.make_tunnel("long", "--max-session", "1s")
        words = "long: sessions may last 1 second"
        self.assertEqual(self.reason_of_age("long"), words)
        self.assertEqual(self.explained("long", "--session-age", "2s"), words)
        self.assertEqual(self.page_reason("long", session_seconds="2s"), words)

    def reason_of_age(self, name):
        """Stay signed in until a tunnel doesn't open any more; give what ssh shows then."""
        process, [port] = self.session(name)
        deadline = time.monotonic() + PATIENCE
        heard = b"hello"
        while heard and time.monotonic() < deadline:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
                try:
                    connection.sendall(b"hello")
                    heard = connection.recv(5)
                except ConnectionError:
                    heard = b""
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        return process.wait_for(f"open failed: .*prohibited: ({name}: .*)")[1].strip()


class NarrowingTests(PolicyCase):
    """What is narrowed or deleted ends within a second what it had let open, and says why."""

    def cut(self, name, *words, reason):
        process, [port] = self.session(name)
        connection = self.connect(port)
        self.do(*words)
        began = time.monotonic()
        self.assertEqual(connection.recv(1), b"")
        self.assertLess(time.monotonic() - began, 1)
        self.assertRegex(self.recorded_reason(name), reason)
        process.stop()

    def test_everything_that_can_be_taken_away(self):
        self.make_world()
        for name in ("a-policy", "a-date", "a-tunnel", "moved", "a-member", "a-connector",
                     "a-user"):  # fmt: skip
            self.make_tunnel(name)
        self.do("policy", "create", "empty")
        nothing = "no tunnel of yours has this destination"
        for name in ("a-policy", "a-date"):
            self.do("unassign", name, "--user", "alice")
            self.do("policy", "create", f"of-{name}")
            self.do("assign", name, "--user", "alice", "--method", "key", "--policy", f"of-{name}")
        self.do("unassign", "a-member", "--user", "alice")
        self.do("group", "create", "dba")
        self.do("group", "add", "dba", "alice")
        self.do("assign", "a-member", "--group", "dba", "--method", "key")
        self.cut("a-policy", "policy", "set", "of-a-policy", "--source", "10.0.0.0/8",
                 reason="a-policy: not open to connections from 127.0.0.1")  # fmt: skip
        past = "2026-01-01T00:00Z"
        self.cut("a-date", "policy", "set", "of-a-date", "--until", past,
                 reason="a-date: closed 2026-01-01 00:00 UTC")  # fmt: skip
        self.cut("moved", "tunnel", "set", "moved", "--address", "127.0.0.2",
                 reason="leads elsewhere now")  # fmt: skip
        self.cut("a-member", "group", "remove", "dba", "alice", reason=nothing)
        self.cut("a-tunnel", "tunnel", "delete", "a-tunnel", "--yes", reason=nothing)
        self.cut("a-user", "user", "block", "alice", reason="user alice is blocked")
        self.do("user", "unblock", "alice")
        self.cut("a-connector", "connector", "delete", "paris-1", "--yes", reason="connector")

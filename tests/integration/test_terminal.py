"""Signing in and opening tunnels from a terminal, with the system's ssh and a real pod."""

import atexit
import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from functools import cache
from http.cookiejar import CookieJar
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import (
    ENVIRONMENT,
    PATIENCE,
    PYTHON,
    Gateway,
    Keys,
    Process,
    SiteConnector,
    free_port,
)
from tests.integration.targets import EchoTarget, exchange
from tests.requirements import require_executable

PASSWORD = "correct horse battery"
COMMAND = [PYTHON, "-c", "from tunnelcloud.cli import main; main()"]


class PortalVisitor:
    """Somebody's browser as far as forms go."""

    def __init__(self, gateway):
        self._origin = f"http://127.0.0.1:{gateway.web_port}"
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def open(self, path):
        """Give the answer to a request, to be read and closed."""
        return self._opener.open(self._origin + path, timeout=PATIENCE)

    def get(self, path):
        with self.open(path) as answer:
            return answer.read().decode()

    def send(self, page, path, **form):
        csrf = re.findall(r'name="csrf" value="([^"]+)"', self.get(page))[-1]
        data = urllib.parse.urlencode({"csrf": csrf, **form}).encode()
        with self._opener.open(self._origin + path, data, timeout=PATIENCE) as answer:
            return answer.read().decode()


class World:
    """A pod, a connector, a target, and alice, who has a password."""

    def __init__(self):
        self._scratch = tempfile.TemporaryDirectory(prefix="tunnelcloud-terminal-")
        directory = Path(self._scratch.name)
        self.gateway = Gateway(directory, 'public_url = "http://portal.example.com"')
        do = self.gateway.do
        do("site", "create", "paris")
        made = do("connector", "create", "paris-1", "--site", "paris")
        self.connector = SiteConnector(directory, "paris-1", made["join"]["token"])
        self.target = EchoTarget()
        do("tunnel", "create", "db", "--site", "paris", "--address", "127.0.0.1",
           "--port", self.target.port)  # fmt: skip
        do("user", "create", "alice")
        do("assign", "db", "--user", "alice", "--method", "token")
        invited = do("user", "invite", "alice")
        link = urllib.parse.urlsplit(invited["url"]).path
        self.visitor = PortalVisitor(self.gateway)
        self.visitor.send(link, link, password=PASSWORD, again=PASSWORD)

    def close(self):
        self.target.close()
        self.connector.process.stop()
        self.gateway.process.stop()
        self._scratch.cleanup()


@cache
def world():
    """Give the one of this process; it ends with it."""
    require_executable("ssh")
    made = World()
    atexit.register(made.close)
    return made


class TerminalCase(SynchronousTestCase):
    """Alice's terminal, which is new in each test."""

    def setUp(self):
        self.world = world()
        self.gateway, self.target = self.world.gateway, self.world.target
        self.directory = Path(self.mktemp()).absolute()
        (self.directory / "tmp").mkdir(parents=True)
        self.config = self.directory / "config"
        self.environment = {
            "XDG_CONFIG_HOME": str(self.config),
            "HOME": str(self.directory),
            "TUNNELCLOUD_URL": f"http://127.0.0.1:{self.gateway.web_port}",
            "SSH_AUTH_SOCK": "",
            "TMPDIR": str(self.directory / "tmp"),
        }

    def words(self, *words):
        return [*COMMAND, *words]

    def start(self, *words):
        return Process(self.words(*words), self.environment)

    def run_line(self, *words):
        environment = {**ENVIRONMENT, **self.environment}
        environment.pop("TUNNELCLOUD_API_TOKEN", None)
        return subprocess.run(
            [*COMMAND, *map(str, words)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )

    def sign_in(self):
        """Sign the terminal in, as its user does with a browser."""
        visitor = self.world.visitor
        process = self.start("login")
        self.addCleanup(process.kill)
        code = process.wait_for(r"^ +([A-Z]{4}-[A-Z]{4})$")[1]
        self.assertIn("Is this your command line?", visitor.send("/device", "/device", code=code))
        visitor.send("/device", "/device/decide", code=code, answer="allow")
        process.wait_for("signed in to .* as alice")
        return visitor

    def tokens_used(self):
        items = self.gateway.do("token", "list")["items"]
        return [one["used_at"] is not None for one in items]


class BrowserTests(TerminalCase):
    def test_ssh_without_key_or_token_is_confirmed_in_the_browser(self):
        """ssh asks for the token by a program here, which presses Return once it may."""
        go, program = self.directory / "go", self.directory / "press-return"
        program.write_text(f"#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.1; done\necho\n")
        program.chmod(0o700)
        asking = {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
        options = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={os.devnull}")
        port = self.gateway.ssh_port
        words = ["ssh", "-F", "none", *options, "-p", port, "alice@127.0.0.1", "ls"]
        ssh = Process(words, {**self.environment, **asking})
        self.addCleanup(ssh.kill)
        path = urllib.parse.urlsplit(ssh.wait_for(r"Open (http\S+) and confirm")[1]).path
        visitor = self.world.visitor
        for _ in range(PATIENCE * 10):
            with contextlib.suppress(urllib.error.HTTPError):
                page = visitor.get(path)
                break
            time.sleep(0.5)  # the link works after a moment
        self.assertIn("OpenSSH", page)
        self.assertIn("You confirmed the login", visitor.send(path, path, answer="allow"))
        go.touch()
        ssh.wait_for(r"^db ")
        self.assertEqual(ssh.process.wait(PATIENCE), 0)
        (session,) = [
            one for one in self.gateway.do("session", "list")["items"] if one["method"] == "browser"
        ]
        self.assertEqual(session["login_name"], "alice")


class TerminalTests(TerminalCase):
    def test_from_signing_in_to_signing_out(self):
        self.assertIn("run `tunnelcloud --url URL login`", self.run_line("ls").stderr)
        visitor = self.sign_in()
        kept = self.config / "tunnelcloud" / "logins.json"
        self.assertEqual(stat.S_IMODE(kept.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(kept.parent.stat().st_mode), 0o700)
        # The address is remembered, too.
        url = self.environment.pop("TUNNELCLOUD_URL")
        self.assertIn("db", self.run_line("ls").stdout)
        tunnels = json.loads(self.run_line("ls", "--json").stdout)["items"]
        (tunnel,) = [one for one in tunnels if one["name"] == "db"]
        self.assertIn("-L 127.0.0.1:", tunnel["command"])
        block = self.run_line("ssh-config").stdout
        self.assertIn("Host db.tunnel\n", block)
        self.assertIn(f"Port {self.gateway.ssh_port}", block)
        known = self.run_line("ssh-config", "--known-hosts").stdout
        self.assertIn(f"[127.0.0.1]:{self.gateway.ssh_port} ssh-ed25519 ", known)
        signed_in = visitor.get("/account").count("/account/command-lines/")
        self.assertIn(f"signed out of {url}", self.run_line("logout").stdout)
        self.assertNotIn("tca_", kept.read_text())
        self.assertEqual(self.run_line("ls").returncode, 1)
        left = visitor.get("/account").count("/account/command-lines/")
        self.assertEqual(left, signed_in - 1)

    def test_a_command_runs_through_a_tunnel_and_its_status_is_passed_on(self):
        self.sign_in()
        port = free_port()
        code = (
            "import socket,sys;"
            "s=socket.create_connection((sys.argv[1],int(sys.argv[2])));"
            "s.sendall(b'through');s.shutdown(1);"
            "print(s.makefile('rb').read().decode());sys.exit(7)"
        )
        line = f'{PYTHON} -c "{code}" {{host}} {{port}}'
        done = self.run_line("connect", "db", "--local", f"127.0.0.1:{port}", "--exec", line)
        self.assertEqual((done.returncode, done.stdout), (7, "through\n"), done.stderr)
        self.assertIn(f"db port {self.target.port} is at 127.0.0.1:{port}", done.stderr)
        done = self.run_line("connect", "db", "--exec", "kill -9 $$")
        self.assertEqual(done.returncode, 137, done.stderr)
        self.assertEqual(self.leftovers(), [])

    def leftovers(self):
        """What of ours is still there: processes, directories."""
        left = [path.name for path in Path(self.environment["TMPDIR"]).iterdir()]
        return left + [line for line in ssh_processes() if str(self.gateway.ssh_port) in line]

    def test_the_token_is_seen_nowhere(self):
        """Watched while it connects: arguments and environment of every process, and files."""
        self.sign_in()
        seen, over = [], threading.Event()
        watcher = threading.Thread(target=watch, args=(seen, over), daemon=True)
        watcher.start()
        process = self.start("connect", "db")
        self.addCleanup(process.kill)
        port = int(process.wait_for(r"is at 127\.0\.0\.1:(\d+)")[1])
        self.assertEqual(exchange(port, b"data"), b"data")
        over.set()
        watcher.join(PATIENCE)
        self.assertIn(True, self.tokens_used())
        asked = [text for text in seen if "SSH_ASKPASS=" in text]
        self.assertNotEqual(asked, [], "ssh was not seen at all")
        api_token = json.loads((self.config / "tunnelcloud" / "logins.json").read_text())
        for text in seen:
            # Other tests run beside this one, with tokens of their own.
            if str(self.config) in text:
                self.assertNotRegex(text, r"(?<![a-z2-7_./-])[a-z2-7]{26}(?![a-z2-7])")
                self.assertNotIn(api_token["logins"][0]["token"], text)
        process.process.send_signal(signal.SIGTERM)
        self.assertEqual(process.process.wait(PATIENCE), 143)
        self.assertEqual(self.leftovers(), [])

    def test_ctrl_c_ends_it_and_leaves_nothing(self):
        self.sign_in()
        process = self.start("connect", "db")
        process.wait_for("Ctrl-C ends it")
        process.process.send_signal(signal.SIGINT)
        self.assertEqual(process._close(), 0)
        self.assertEqual(self.leftovers(), [])

    def test_what_fails_says_why(self):
        self.sign_in()
        self.gateway.do("tunnel", "create", "web", "--site", "paris", "--address", "127.0.0.1",
                        "--port", "9", "--port", "8000-8002")  # fmt: skip
        self.gateway.do("assign", "web", "--user", "alice", "--method", "key")
        taken = self.target.port
        for words, text in [
            (("connect", "nothing"), "you have no tunnel 'nothing'"),
            (("connect", "web", "--method", "token"), "opens with a key, not with a token"),
            (("connect", "db", "--port", "1"), "port 1 is not published"),
            (("connect", "db", "--local", f"127.0.0.1:{taken}"), "is in use"),
            (("ssh-config", "nothing"), "you have no tunnel"),
        ]:
            done = self.run_line(*words)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(text, done.stderr)
        done = self.run_line("connect", "web", "--key-file", "/nonexistent", "--exec", "true")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ssh could not open the tunnel", done.stderr)
        self.assertEqual(self.run_line("connect", "db", "--local", "x").returncode, 2)

    def test_another_pods_key_is_refused(self):
        """The host keys are those that the API gives: nobody in between gets the token."""
        self.sign_in()
        other = Keys(self.directory, "other").public.read_text()
        line = f"[127.0.0.1]:{self.gateway.ssh_port} {other}"
        code = (
            "import tunnelcloud.cli.client as c, tunnelcloud.cli as m;"
            f"c.Api.text = lambda s, p: {line!r};"
            "m.main()"
        )
        done = subprocess.run(
            [PYTHON, "-c", code, "connect", "db", "--exec", "true"],
            env={**ENVIRONMENT, **self.environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("Host key verification failed", done.stderr)
        self.assertIs(self.tokens_used()[0], False, "the latest one was used")


def ssh_processes():
    """Give the arguments of every ssh there is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if words and words[0].endswith(b"/ssh"):
            found.append(b" ".join(words).decode("utf-8", "replace"))
    return found


def watch(seen, over):
    """Collect what anybody on the machine could see of processes, until told to stop."""
    kept = set()
    deadline = time.monotonic() + PATIENCE
    own = str(os.getpid())
    while not over.is_set() and time.monotonic() < deadline:
        for entry in Path("/proc").glob("[0-9]*"):
            if entry.name == own:
                continue
            with contextlib.suppress(OSError):
                kept.add((entry / "cmdline").read_bytes() + (entry / "environ").read_bytes())
    seen.extend(text.decode("utf-8", "replace").replace("\0", "\n") for text in kept)

"""A pod with tunnels of every kind, and the browser of alice, who may open them."""

import contextlib
import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.browser.chromium import Chromium
from tests.integration.processes import PATIENCE, Gateway, Keys, Process, SiteConnector
from tests.integration.targets import EchoTarget, exchange
from tests.requirements import require_executable

PASSWORD = "correct horse battery"
DATA = os.urandom(200_000)


def local_name():
    """Give a name of this machine that leads to its loopback."""
    name = socket.gethostname().lower()
    with contextlib.suppress(OSError):
        if socket.gethostbyname(name).startswith("127."):
            return name
    return "localhost"


class Machine:
    """A user's machine: their shell, and an ssh whose account's home is a directory of the test's.

    (OpenSSH asks the system where a home is, and not the environment.)
    """

    def __init__(self, directory, gateway):
        self.home = directory / "home"
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        self.known_hosts = self.home / ".ssh" / "known_hosts"
        self.known_hosts.write_text(gateway.get("/known_hosts"))
        self._bin = directory / "bin"
        self._bin.mkdir()
        options = f"-F {self.home}/.ssh/config -o UserKnownHostsFile={self.known_hosts}"
        script = self._bin / "ssh"
        script.write_text(f'#!/bin/sh\nexec {require_executable("ssh")} {options} "$@"\n')
        script.chmod(0o755)
        (self.home / ".ssh" / "config").touch()
        self._askpass = directory / "askpass"
        self._askpass.write_text('#!/bin/sh\nprintf "%s\\n" "$TEST_TOKEN"\n')
        self._askpass.chmod(0o700)

    def environment(self, token=None):
        environment = {
            "HOME": str(self.home),
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "SSH_AUTH_SOCK": "",
            "AUTOSSH_PATH": str(self._bin / "ssh"),
        }
        if token is not None:
            environment |= {
                "SSH_ASKPASS": str(self._askpass),
                "SSH_ASKPASS_REQUIRE": "force",
                "TEST_TOKEN": token,
            }
        return environment

    def run(self, line, token=None):
        """Run a line by a shell, as if it were pasted, and leave it running."""
        words = ["/bin/sh", "-c", f"exec {line}"]
        return Process(["setsid", *words], self.environment(token), self.home)

    def start(self, words):
        """Run a program with these words, and leave it running."""
        return Process(words, self.environment(), self.home)

    def finish(self, line, token=None):
        """Run a line by a shell to its end."""
        return subprocess.run(
            ["setsid", "/bin/sh", "-c", line],
            env={**os.environ, **self.environment(token)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.home,
            timeout=PATIENCE,
            check=False,
        )


class Portal(Machine):
    """All that there is, each part its own process; what belongs to users' machines is in ``home``.

    :ivar tunnels: their ids by their names.
    """

    def __init__(self):
        # Short, for control sockets are in it.
        self._scratch = tempfile.TemporaryDirectory(prefix="tc-", dir="/tmp")
        directory = self.directory = Path(self._scratch.name)
        self.gateway = Gateway(directory)
        super().__init__(directory, self.gateway)
        self.site = self.api("POST", "/sites", name="paris")["id"]
        made = self.api("POST", "/connectors", name="paris-1", site_id=self.site)
        join = self.api("POST", f"/connectors/{made['id']}/join-token")["token"]
        self.connector = SiteConnector(directory, "paris-1", join)
        self.alice = self.api("POST", "/users", name="alice", email="alice+db@example.com")["id"]
        self.key = Keys(self.home / ".ssh", "alice's own key")
        public_key = self.key.public.read_text()
        self.api("POST", f"/users/{self.alice}/keys", public_key=public_key, title="Laptop")
        self.echoes = {
            "db": [EchoTarget(host="127.0.0.2")],
            "by-name": [EchoTarget(host="127.0.0.1")],
            "six": [EchoTarget(family=socket.AF_INET6, host="::1")],
            "several": [EchoTarget(host="127.0.0.3"), EchoTarget(host="127.0.0.3")],
        }
        addresses = {"db": "127.0.0.2", "by-name": local_name(), "six": "::1"}
        self.tunnels = {}
        for name, echoes in self.echoes.items():
            ports = [str(echo.port) for echo in echoes]
            self.add_tunnel(name, addresses.get(name, "127.0.0.3"), ports)

    def api(self, method, path, **body):
        return self.gateway.api(method, path, body or None)

    def add_tunnel(self, name, address, ports, **fields):
        body = {"name": name, "site_id": self.site, "target_address": address}
        made = self.api("POST", "/tunnels", **body, target_ports=ports, **fields)
        self.tunnels[name] = made["id"]
        self.assign(name, self.alice)

    def assign(self, name, user_id):
        path = f"/tunnels/{self.tunnels[name]}/assignments"
        self.api("POST", path, user_id=user_id, methods=["token", "key"])

    def panel(self, name, query=""):
        return f"/applications/{self.tunnels[name]}{query}"

    def close(self):
        self.connector.process.stop()
        self.gateway.process.stop()
        for echoes in self.echoes.values():
            for echo in echoes:
                echo.close()
        self._scratch.cleanup()


def moves_data(address, port, process=None):
    """Send data through a local port, and see it come back; wait until the port is there.

    :param process: what is to open it; when it ends, there is no use in waiting.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            answer = exchange(port, DATA, address)
        except ConnectionRefusedError:
            if process is not None and process.process.poll() is not None:
                process.wait_for("a line that isn't there")
            time.sleep(0.05)
            continue
        if answer != DATA:
            raise AssertionError(f"{len(answer)} of {len(DATA)} bytes came back")
        return
    raise AssertionError(f"nothing listens on {address}:{port}")


class Visitor:
    """A user's browser, signed in: alice's, if nobody else's.

    It sets the user's password, which signs any other browser of theirs out.
    """

    def __init__(self, portal, user_id=None, scripts=True):
        self.portal = portal
        self.chromium = Chromium(f"http://127.0.0.1:{portal.gateway.web_port}", scripts)
        self.page = self.chromium.page
        user_id = user_id or portal.alice
        link = portal.api("POST", f"/users/{user_id}/invitations")["url"]
        self.page.goto(link)
        for field in self.page.locator("input[type=password]").all():
            field.fill(PASSWORD)
        self.page.locator("main button").first.click()
        self.page.wait_for_url(re.compile(r"/(admin)?$"))

    def open(self, name, query=""):
        """Open a tunnel's page, as somebody who used no tool before."""
        self.chromium.context.clear_cookies(name="tunnelcloud-tools")
        self.chromium.visit(self.portal.panel(name, query))
        return self.page

    def copied(self, element):
        """Press the copy button of an element; give what is on the clipboard."""
        self.page.evaluate("document.getElementById('said').textContent = ''")
        self.page.locator(f"[data-copy='{element}']").click()
        self.page.locator("#said", has_text="Copied").wait_for(state="attached")
        return self.page.evaluate("navigator.clipboard.readText()")

    def token(self):
        """Get a one-time token from the page."""
        self.page.get_by_role("button", name="one-time token").click()
        self.page.locator("#token").wait_for()
        return self.copied("token")

    def choose(self, method):
        """Choose by what the tunnel is opened; the page has one link for the other method."""
        name = "Skip this step" if method == "key" else "Use a one-time token instead"
        self.page.get_by_role("link", name=name).click()
        self.page.locator(f"#way input[name=method][value={method}]").wait_for(state="attached")

    def unfold(self, text):
        """Unfold a part of the page, by its summary."""
        summary = self.page.locator("summary", has_text=text).first
        if summary.evaluate("one => !one.parentElement.open"):
            summary.click()

    def rows(self, kind):
        """Read a tool's settings as they are shown: values by place and label."""
        # An SSH client stands in the second step, and what connects through it in the third.
        table = self.page.locator(f"table.settings[data-manner={kind}]").first
        table.wait_for(state="attached")
        if table.evaluate("one => one.closest('#own-ssh') !== null"):
            self.unfold("open the SSH connection itself")
        table.wait_for()
        rows = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
        found = {}
        for place, label, value in rows:
            found.setdefault((place, label), value.removesuffix("Copy").strip())
        return found

    def close(self):
        self.chromium.close()

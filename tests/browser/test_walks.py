"""From an invitation's link to data in one's tool: each tool's walk takes under two minutes.

What is counted are fields, presses and pastes, in the browser and in the tool, which no busy
machine changes; what a person takes for each stands in ``tests.browser.case``.  The machine's own
time is printed.
"""

import re
from pathlib import Path

from tests.browser import tool_clients
from tests.browser.case import Counts
from tests.browser.portal import Visitor
from tests.browser.test_connecting import PortalCase
from tests.clients.building import build
from tests.integration import library_clients
from tests.integration.processes import PATIENCE, Process
from tests.integration.targets import SpeakingTarget, as_postgresql
from tests.requirements import require_pgadmin_python

_LOADER = Path(tool_clients.__file__).parent / "pgadmin_loader.py"
_TUNNEL = Path(library_clients.__file__).parent / "pgadmin_tunnel.py"


class WalkTests(Counts, PortalCase):
    """A newcomer, with an invitation and a browser of their own."""

    def setUp(self):
        super().setUp()
        self.visited = []

    def test_each_tool(self):
        walks = ("rows", self.psql), ("db", self.pgadmin), ("db", self.jdbc)
        self.rows = SpeakingTarget(as_postgresql(b"a row"), host="127.0.0.4")
        self.addCleanup(self.rows.close)
        self.portal.add_tunnel("rows", "127.0.0.4", [str(self.rows.port)])
        newcomer = self.portal.api("POST", "/users", name="newcomer")["id"]
        for tunnel in ("rows", "db"):
            self.portal.assign(tunnel, newcomer)
        self.visitor = Visitor(self.portal, newcomer)
        self.addCleanup(self.visitor.close)
        self.page = self.visitor.page
        self.page.on("framenavigated", lambda frame: self.visited.append(frame.url))
        for tunnel, walk in walks:
            self.visitor.chromium.visit("/")
            self.visitor.chromium.context.clear_cookies(name="tunnelcloud-tools")
            self.begin_walk(4)  # the link, two fields and a button
            self.follow(tunnel)
            self.page.wait_for_url(f"**{self.portal.panel(tunnel)}")
            self.visited.clear()
            walk()
            self.end_walk(walk.__name__)
            panel = re.compile(r"/applications/[^/?#]+([?#]|$)")
            self.assertEqual([url for url in self.visited if not panel.search(url)], [])

    def get_token(self):
        self.press("Get a one-time token")
        self.page.locator("#token").wait_for()
        return self.copied("token")

    def copied(self, element):
        self.done += 1
        return self.visitor.copied(element)

    def choose(self, tool):
        """Choose a tool that isn't the usual one of the test's port."""
        self.visitor.unfold("Other tools")
        self.done += 1
        self.follow(tool)
        self.page.locator(f"section[aria-label='{tool}']").wait_for()

    def psql(self):
        token = self.get_token()
        command = self.copied("command")
        ssh = self.portal.run(command, token)
        self.addCleanup(ssh.stop)
        self.done += 3  # a terminal, and both pasted
        self.see("Connected from 127.0.0.1")
        self.choose("psql")
        line = self.copied("text-1-1")
        self.done += 4  # another terminal, the line pasted, and both names typed
        line = line.replace("USER", "alice").replace("DATABASE", "sales")
        done = self.portal.finish(f"PGSSLMODE=disable PGGSSENCMODE=disable {line} -XAtc query")
        self.assertEqual(done.stdout, b"a row\n", done.stderr)

    def pgadmin(self):
        """Its own code loads the file, opens the SSH connection by a token, and moves data."""
        python = require_pgadmin_python()
        token = self.get_token()
        self.choose("pgAdmin 4")
        self.visitor.unfold("open the SSH connection itself")
        self.done += 1
        with self.page.expect_download() as download:
            self.follow("Download pgadmin-db.json")
        file = self.portal.directory / "walk.json"
        download.value.save_as(file)
        # Tools, Import/Export Servers, the file, Next, Finish; the server; the token and OK.
        self.done += 8
        words = [python, "-E", "-W", "ignore", _TUNNEL, _LOADER, file, token]
        home = self.portal.directory / "pgadmin"
        home.mkdir()
        pgadmin = Process(words, {**self.portal.environment(), "HOME": str(home)})
        self.addCleanup(pgadmin.stop)
        pgadmin.wait_for("^open$", 2 * PATIENCE)
        pgadmin.wait_for("^whole$")

    def jdbc(self):
        """JSch, as in DBeaver: its fields say where and as whom; the token is pasted."""
        client = build("jsch")
        token = self.get_token()
        self.choose("DBeaver")
        self.done += 1
        rows = self.visitor.rows("token")
        # The token is in the tool's own field, and the page doesn't ask for another.
        self.assertEqual(rows["SSH", "Password"], token)
        self.page.get_by_role("button", name="Get another one-time token").wait_for()
        fields = [("SSH", "Host/IP"), ("SSH", "Port"), ("SSH", "User Name"), ("SSH", "Password"),
                  ("Main", "Host"), ("Main", "Port")]  # fmt: skip
        host, port, login, _, target, target_port = (rows[one] for one in fields)
        self.assertEqual(host, "127.0.0.1")
        # New connection, the kind of database, two tabs, two ticks, the fields, and Test.
        self.done += 7 + len(fields)
        words = [*client, port, login, "token", token, f"{target}:{target_port}", "move", 10_000]
        jsch = Process(words, self.portal.environment())
        self.addCleanup(jsch.stop)
        jsch.wait_for("^whole$")

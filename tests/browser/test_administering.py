"""What an administrator does most, in Firefox and in WebKit: find, watch, choose a name, go on.

Chromium does the same in ``test_administrator``, but for a suggestion: without a screen it has no
list from which keys could choose.
"""

import sqlite3
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.browser.case import PASSWORD
from tests.browser.engines import Firefox, WebKit
from tests.integration.processes import PATIENCE, Gateway
from tunnelcloud.store.sqlite_files import FILE_NAME

ENTER, DOWN, CONTROL, BACKSPACE = "\ue007", "\ue015", "\ue009", "\ue003"
"""Keys as WebDriver and Marionette name them."""

FIELD = "document.getElementById('site_id')"


class Administering(SynchronousTestCase):
    """What holds in each engine."""

    engine = None

    def setUp(self):
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        self.gateway = Gateway(directory)
        self.addCleanup(lambda: self.gateway.process.stop())
        for name in ("lyon", "nantes", "paris"):
            self.site = self.api("POST", "/sites", name=name)
        boss = self.api("POST", "/users", name="boss", role="admin")
        self.link = self.api("POST", f"/users/{boss['id']}/invitations")["url"]
        self.browser = self.engine()
        self.addCleanup(lambda: self.browser.close())
        self.origin = f"http://127.0.0.1:{self.gateway.web_port}"

    def api(self, method, path, **body):
        return self.gateway.api(method, path, body or None)

    def visit(self, path):
        self.browser.visit(self.origin + path)

    def until(self, script, wanted=True):
        """Wait until a script in the page gives what is wanted of it."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.browser.run(f"return {script}")) != wanted:
            self.assertLess(time.monotonic(), deadline, f"{script} is {found!r}")
            time.sleep(0.05)

    def sign_in(self):
        browser = self.browser
        browser.fill("[name=name]", "boss")
        browser.fill("[name=password]", PASSWORD)
        browser.click("main button", "Sign in")

    def walk(self):
        self.browser.visit(self.link)
        for name in ("password", "again"):
            self.browser.fill(f"[name={name}]", PASSWORD)
        self.browser.click("main button")
        self.browser.find("h1", "Overview")
        self.visit("/admin/sites")
        self.searches()
        self.narrows()
        self.watches()
        self.chooses_a_name()
        self.is_signed_out_in_a_form()

    def searches(self):
        """Ctrl-K leads to the search for everything, wherever the focus is."""
        browser = self.browser
        browser.click("input[type=search]")
        browser.focused().send_keys(CONTROL, "k")
        browser.find("h1", "Search")
        self.until("document.activeElement.name", "q")
        browser.strike("par")
        browser.find("#found a", "paris")

    def narrows(self):
        """What is wrong with a filter comes and goes beside its field, while somebody types."""
        browser = self.browser
        self.visit("/admin/sessions")
        browser.click("#filter-tunnel")
        browser.strike("nothing")
        browser.find("#filter-tunnel-error", "There is no tunnel nothing.")
        invalid = "document.getElementById('filter-tunnel').getAttribute('aria-invalid')"
        self.until(invalid, "true")
        browser.strike(*[BACKSPACE] * len("nothing"))
        browser.find("#found", "Nobody is connected now")
        self.until("document.getElementById('filter-tunnel-error').textContent", "")
        self.until(invalid, None)

    def watches(self):
        """What somebody else adds appears by itself, and the page isn't loaded again."""
        browser = self.browser
        self.add_connector("paris-1")
        self.visit(f"/admin/sites/{self.site['id']}")
        browser.find("#connectors", "paris-1")
        browser.run("document.body.dataset.stayed = 'yes'")
        self.add_connector("paris-2")
        browser.find("#connectors", "paris-2")
        stayed = browser.run("return document.body.dataset.stayed")
        self.assertEqual(stayed, "yes", "the page was loaded again")

    def add_connector(self, name):
        self.api("POST", "/connectors", name=name, site_id=self.site["id"])

    def chooses_a_name(self):
        """Down and Enter take a suggestion; it neither sends the form nor loses the field."""
        browser = self.browser
        self.visit("/admin/connectors/new")
        browser.fill("#name", "lyon-1")
        browser.click("#site_id")
        browser.strike("nan")
        self.until(f"[...{FIELD}.list.options].map((one) => one.value).join(' ')", "nantes")
        browser.strike(DOWN)
        browser.strike(ENTER)
        self.until(f"{FIELD}.value", "nantes")
        self.until("location.pathname", "/admin/connectors/new")

    def is_signed_out_in_a_form(self):
        """A session that ends meanwhile: what was typed is there after signing in, and is sent."""
        browser = self.browser
        self.visit("/admin/tunnels/new")
        for name, value in [("name", "db"), ("target_address", "10.0.0.5"),
                            ("target_ports", "5432"), ("site_id", "paris")]:  # fmt: skip
            browser.fill(f"#{name}", value)
        self.end_sign_ins()
        browser.click("main form button.main")
        browser.find("main", "what you typed is here again")
        self.sign_in()
        browser.find("dd", "10.0.0.5")
        browser.click("main form button.main")
        browser.find("main", "Created db.")
        [tunnel] = self.api("GET", "/tunnels")["items"]
        self.assertEqual((tunnel["name"], tunnel["target_ports"]), ("db", ["5432"]))

    def end_sign_ins(self):
        """End every sign-in, as time does."""
        with sqlite3.connect(self.gateway.state / FILE_NAME, timeout=PATIENCE) as database:
            database.execute("UPDATE web_sessions SET expires_at = 0")
        database.close()


class FirefoxTests(Administering):
    """Debian's Firefox ESR."""

    engine = Firefox

    def test_a_day(self):
        self.walk()


class WebKitTests(Administering):
    """WebKitGTK, the engine of Safari."""

    engine = WebKit

    def test_a_day(self):
        self.walk()

"""A field that takes the name of another object, in each browser: typed and mended by keys.

The form is used by somebody who has no mouse: the keyboard alone leads to each field and sends it.
"""

import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.browser.case import NAME, PASSWORD
from tests.browser.chromium import Chromium
from tests.browser.engines import Firefox, WebKit
from tests.integration.processes import PATIENCE, Gateway
from tests.web.portal.browser import HASHED
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import sites, users
from tunnelcloud.store.engine import open_store

TAB, BACK, ENTER, END, DELETE = "\ue004", "\ue008\ue004", "\ue007", "\ue010", "\ue003"
"""Keys as WebDriver and Marionette name them."""
MANY = 120
"""How many sites there are: more than the first suggestions."""
FIELD = "document.getElementById('site_id')"
SUGGESTED = f"[...{FIELD}.list.options].map((one) => one.value).join(' ')"


class KeysOfChromium:
    """Chromium, with the few acts of the other engines that this test has."""

    _NAMES = {TAB: "Tab", BACK: "Shift+Tab", ENTER: "Enter", END: "End", DELETE: "Backspace"}

    def __init__(self):
        self._chromium = Chromium("")
        self.page = self._chromium.page

    def visit(self, address):
        self._chromium.origin = "/".join(address.split("/")[:3])
        self.page.goto(address)

    def strike(self, *keys):
        for key in keys:
            if key in self._NAMES:
                self.page.keyboard.press(self._NAMES[key])
            else:
                self.page.keyboard.type(key)

    def find(self, selector, text):
        self.page.locator(selector, has_text=text).first.wait_for()

    def run(self, script):
        try:
            return self.page.evaluate(f"() => {{ {script} }}")
        except Exception as error:
            if "context was destroyed" not in str(error):
                raise
            return None  # the page has just been left

    def close(self):
        self._chromium.check()
        self._chromium.close()


class TypedNames(SynchronousTestCase):
    """What holds in each engine."""

    engine = None

    def setUp(self):
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        state = directory / "pod-1"
        state.mkdir(0o700)
        store = open_store("sqlite", state)
        admin = store.write(users.create, name=NAME, role=Role.ADMIN)
        store.write(users.set_password, admin.id, HASHED)
        for number in range(MANY):
            store.write(sites.create, name=f"site-{number:03}")
        store.close()
        self.gateway = Gateway(directory)
        self.addCleanup(lambda: self.gateway.process.stop())
        self.browser = self.engine()
        self.addCleanup(lambda: self.browser.close())
        self.origin = f"http://127.0.0.1:{self.gateway.web_port}"

    def until(self, script, wanted):
        """Wait until a script in the page gives what is wanted of it."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.browser.run(f"return {script}")) != wanted:
            self.assertLess(time.monotonic(), deadline, f"{script} is {found!r}")
            time.sleep(0.05)

    def tab_to(self, name):
        """Go on with the tab key until a field has the focus."""
        for _ in range(60):
            if self.browser.run("return document.activeElement.name") == name:
                return
            self.browser.strike(TAB)
        raise AssertionError(f"the tab key doesn't lead to {name}")

    def walk(self):
        browser = self.browser
        browser.visit(f"{self.origin}/sign-in?next=/admin/connectors/new")
        self.until("document.activeElement.name", "name")
        browser.strike(NAME, TAB, PASSWORD, ENTER)
        browser.find("h1", "connector")

        # The first names are there; others are found while somebody types.
        self.tab_to("name")
        browser.strike("one")
        self.tab_to("site_id")
        self.assertNotIn("site-077", browser.run(f"return {SUGGESTED}"))
        browser.strike("site-07")
        self.until(SUGGESTED, " ".join(f"site-07{number}" for number in range(10)))

        # A name that is none: its fault stands beside the field, which keeps it and has the focus.
        browser.strike("77", ENTER)
        browser.find("#site_id-error", "there is no site site-0777")
        self.until("document.activeElement.name", "site_id")
        self.until(f"{FIELD}.value", "site-0777")
        self.until("document.getElementById('name').value", "one")

        # It is mended where it stands.
        browser.strike(END, *[DELETE] * 3, "7")
        self.until(SUGGESTED, " ".join(f"site-07{number}" for number in range(10)))
        browser.strike("7")
        self.until(SUGGESTED, "site-077")
        # A list that is open may take Enter for itself: it is sent from the field before.
        browser.strike(BACK)
        self.until("document.activeElement.name", "name")
        browser.strike(ENTER)
        self.until("location.pathname.split('/').pop()", "join")
        browser.find("h1", "Start one in its site")
        browser.visit(f"{self.origin}/admin/connectors")
        browser.find("td[data-label=Site]", "site-077")


class ChromiumTests(TypedNames):
    """Debian's Chromium."""

    engine = KeysOfChromium

    def test_by_keyboard(self):
        self.walk()


class FirefoxTests(TypedNames):
    """Debian's Firefox ESR."""

    engine = Firefox

    def test_by_keyboard(self):
        self.walk()


class WebKitTests(TypedNames):
    """WebKitGTK, the engine of Safari."""

    engine = WebKit

    def test_by_keyboard(self):
        self.walk()

"""From the invitation's link to data, in Firefox and in WebKit: the way that each user goes."""

from twisted.trial.unittest import SynchronousTestCase

from tests.browser.engines import Firefox, WebKit
from tests.browser.portal import PASSWORD, Portal, moves_data
from tests.integration.processes import free_port


class MainWay(SynchronousTestCase):
    """What holds in each engine."""

    engine = None

    def setUp(self):
        self.browser = self.engine()
        self.addCleanup(lambda: self.browser.close())
        self.portal = Portal()
        self.addCleanup(self.portal.close)

    def tokens(self):
        """Give how many tokens alice has."""
        return len(self.portal.api("GET", f"/tokens?user_id={self.portal.alice}")["items"])

    def walk(self):
        browser = self.browser
        link = self.portal.api("POST", f"/users/{self.portal.alice}/invitations")["url"]
        browser.visit(link)
        for field in browser.driver.find_elements("css selector", "input[type=password]"):
            field.send_keys(PASSWORD)
        browser.click("main button")
        browser.click("#cards a", "db")
        browser.find("h1", "db")
        page = browser.url
        self.assertTrue(page.endswith(self.portal.panel("db")), page)
        browser.click("button", "one-time token")
        token = browser.find("#token")
        self.assertEqual(self.tokens(), 1)

        # Reloading shows no error, and neither it nor Back makes another token.
        browser.reload()
        browser.find("h1", "db")
        browser.back()
        browser.find("h1")
        browser.visit(page)
        self.assertEqual(self.tokens(), 1)

        # The focus stays on what a button was replaced by.
        browser.click("#check")
        browser.find("#check", "Check again")
        self.assertNotEqual(browser.run("return document.activeElement.tagName"), "BODY")

        (target,) = self.portal.echoes["db"]
        port = free_port()
        browser.click("summary", "Options")
        browser.fill(f"#port_{target.port}", str(port))
        command = browser.find("#command", str(port))
        browser.reload()
        browser.find("h1", "db")

        process = self.portal.run(command, token)
        self.addCleanup(process.stop)
        moves_data("127.0.0.1", port, process)
        # The page finds out by itself.
        browser.find("main", "Connected from 127.0.0.1")
        ids = browser.run("return [...document.querySelectorAll('[id]')].map(one => one.id)")
        self.assertEqual(len(ids), len(set(ids)))


class FirefoxTests(MainWay):
    """Debian's Firefox ESR."""

    engine = Firefox

    def test_the_main_way(self):
        self.walk()


class WebKitTests(MainWay):
    """WebKitGTK, the engine of Safari."""

    engine = WebKit

    def test_the_main_way(self):
        self.walk()

"""Pages in a real browser, of a real pod."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.browser.chromium import Chromium
from tests.integration.processes import Gateway

PASSWORD = "correct horse battery"


class BrowserCase(SynchronousTestCase):
    """A pod, and its first administrator's browser."""

    def setUp(self):
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        self.directory = directory
        self.gateway = Gateway(directory)
        self.addCleanup(self.gateway.process.stop)
        self.chromium = Chromium(f"http://127.0.0.1:{self.gateway.web_port}")
        self.addCleanup(self.chromium.close)
        self.page = self.chromium.page

    def sign_in_first(self):
        """Sign in as the first administrator, by the link that the pod printed."""
        link = next(line for line in self.gateway.process.output if "/invitation/" in line)
        self.page.goto(link.split()[-1])
        self.page.get_by_label("Name").fill("root")
        for field in self.page.locator("input[type=password]").all():
            field.fill(PASSWORD)
        self.page.locator("main button").first.click()
        self.page.wait_for_url("**/")


class PageTests(BrowserCase):
    def test_pages(self):
        self.chromium.visit("/sign-in")
        self.chromium.check("sign-in")
        self.sign_in_first()
        for path in ["/", "/admin"]:
            self.chromium.visit(path)
            self.chromium.check()

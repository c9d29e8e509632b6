"""The newcomer's path of docs/first-tunnel.md: from an empty pod to a colleague's first tunnel.

With ``TUNNELCLOUD_TESTS_PICTURES=DIRECTORY`` in the environment its pictures are kept there.
"""

import os
import re
import shlex
from pathlib import Path

from tests.browser.case import NAME, PASSWORD, SECONDS_EACH, CountedCase
from tests.browser.chromium import Chromium
from tests.browser.portal import Machine, moves_data
from tests.integration.processes import PYTHON, Process, free_port
from tests.integration.targets import EchoTarget

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "first-tunnel.md"


class NewcomerTests(CountedCase):
    def setUp(self):
        super().setUp()
        self.done = 0
        self.pictures = []
        self.page.set_viewport_size({"width": 960, "height": 640})

    def picture(self, name):
        """Keep a picture for the guide, if that is asked for."""
        self.pictures.append(name)
        directory = os.environ.get("TUNNELCLOUD_TESTS_PICTURES")
        if directory is not None:
            # Trial runs tests in a directory of its own.
            pictures = Path(__file__).parents[2] / directory
            pictures.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=pictures / f"{name}.png")

    def set_password(self, link, name=""):
        self.page.goto(link)
        self.done += 2
        if name:
            self.page.get_by_label("Name").fill(name)
        for field in self.page.locator("input[type=password]").all():
            field.fill(PASSWORD)
            self.done += 1
        self.picture("password" if name else "invitation")
        self.press("Set the password")
        self.page.wait_for_url("**/admin" if name else "**/")

    def test_as_the_guide_has_it(self):
        target = EchoTarget(host="127.0.0.2")
        self.addCleanup(target.close)
        link = next(line for line in self.gateway.process.output if "/invitation/" in line)
        self.set_password(link.split()[-1], NAME)
        self.chromium.visit("/admin")
        self.done += 1
        self.picture("first-steps")
        self.connect_site()
        self.publish(target)
        invitation = self.invite()
        before = self.done
        self.open_it(invitation, target)
        # From the link to data: the colleague's part.
        self.assertLess((self.done - before) * SECONDS_EACH, 2 * 60)
        self.assertLess(self.done * SECONDS_EACH, 5 * 60)
        shown = re.findall(r"!\[[^\]]+\]\(images/([a-z-]+)\.png\)", GUIDE.read_text())
        self.assertEqual(shown, self.pictures)
        for name in shown:
            self.assertTrue((GUIDE.parent / "images" / f"{name}.png").is_file(), name)

    def connect_site(self):
        self.follow("Create a site: the private network")
        self.fill(name="paris")
        self.press("Create the site")
        self.follow("Add a connector")
        self.fill(name="paris-1")
        self.press("Add it, and show its command")
        self.see("Waiting for paris-1 to attach")
        self.picture("connector")
        command = self.page.locator("#join").text_content()
        (self.directory / "paris-1.token").touch(0o600)
        (self.directory / "paris-1.token").write_text(
            self.page.locator("#join-token").text_content()
        )
        self.press("Copy")
        config = self.directory / "connector.toml"
        config.write_text('allow = ["127.0.0.0/8"]\n')
        words = shlex.split(command)
        twistd = [PYTHON, "-c", "from twisted.scripts.twistd import run; run()"]
        connector = Process([*twistd, *words[1:], "--config", config], directory=self.directory)
        self.addCleanup(connector.stop)
        self.see("paris-1 is attached.")

    def publish(self, target):
        self.follow("Publish a server of its site")
        self.fill(name="db", target_address="127.0.0.2", target_ports=str(target.port))
        self.picture("publish")
        self.press("Create the tunnel")
        self.see("Created db.")

    def invite(self):
        tunnel = self.page.url
        self.chromium.visit("/admin/users")
        self.follow("New user")
        self.fill(name="alice")
        self.press("Create the user")
        self.see("Created alice.")
        user = self.page.url
        self.page.goto(f"{tunnel}/access")
        self.fill(who="alice")
        self.picture("assign")
        self.press("Assign")
        self.see("Assigned to alice.")
        self.page.goto(user)
        self.done += 3
        self.press("Create a link to set a password")
        self.see("It is shown only once")
        self.picture("invite")
        return next(
            text
            for text in self.page.locator("main pre").all_inner_texts()
            if "/invitation/" in text
        )

    def open_it(self, invitation, target):
        """Now at the colleague's machine."""
        theirs = Chromium(self.chromium.origin)
        self.addCleanup(theirs.close)
        self.page = theirs.page
        self.page.set_viewport_size({"width": 960, "height": 640})
        self.set_password(invitation)
        self.page.locator("#cards").get_by_text("Ready").wait_for()
        self.picture("applications")
        self.follow("db")
        port = free_port()
        self.page.locator("summary", has_text="Options").click()
        self.page.locator(f"#port_{target.port}").fill(str(port))
        self.page.locator("#command", has_text=str(port)).wait_for()
        self.press("Get a one-time token")
        self.page.locator("#token").wait_for()
        self.picture("command")
        self.done += 5
        machine = Machine(self.directory / "alice", self.gateway)
        command = self.page.locator("#command").inner_text()
        process = machine.run(command, self.page.locator("#token").inner_text())
        self.addCleanup(process.stop)
        moves_data("127.0.0.1", port, process)
        self.page.goto(f"{theirs.origin}/sessions")
        self.page.locator("[aria-label='Open now']").get_by_text("OpenSSH").wait_for()
        self.picture("sessions")

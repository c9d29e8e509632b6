"""An administrator's first day, with a real connector and a real ssh, in a real browser."""

import shlex
import socket

from tests.browser.case import BrowserCase
from tests.integration.processes import PYTHON, Client, Keys, Process
from tests.integration.targets import EchoTarget


class FirstDayTests(BrowserCase):
    def test_a_first_day(self):
        self.target = EchoTarget()
        self.addCleanup(self.target.close)
        self.shot("/sign-in", "sign-in")
        self.sign_in_first()
        self.shot("/admin", "overview-empty")
        self._site_and_connector()
        self._tunnel()
        self._user_and_key()
        self._group_and_policy()
        self._assign()
        session = self._live_session()
        self._end(session)
        self._refusal()
        self._look_at_the_rest()

    def _site_and_connector(self):
        self.follow("Create a site: the private network")
        self.fill(name="paris", title="Paris, first floor")
        self.press("Create the site")
        self.see("Created paris.")
        self.site = self.page.url
        self.chromium.check("site-new")
        self.follow("Add a connector")
        self.fill(name="paris-1")
        self.press("Add it, and show its command")
        self.see("Waiting for paris-1 to attach")
        self.chromium.check("connector-waiting")
        command = self.page.locator("#join").text_content()
        token = self.page.locator("#join-token").text_content()
        self.press("Copy")
        self.see("Copied")
        self.assertEqual(self.page.evaluate("navigator.clipboard.readText()"), token)
        (self.directory / "paris-1.token").touch(0o600)
        (self.directory / "paris-1.token").write_text(token)
        config = self.directory / "connector.toml"
        config.write_text('allow = ["127.0.0.0/8"]\n')
        words = shlex.split(command)
        self.assertEqual(words[0], "twistd")
        twistd = [PYTHON, "-c", "from twisted.scripts.twistd import run; run()"]
        connector = Process([*twistd, *words[1:], "--config", config], directory=self.directory)
        self.addCleanup(connector.stop)
        # The page says so by itself.
        self.see("paris-1 is attached.")
        self.chromium.check("connector-attached")
        self.connector = self.page.get_by_role("link", name="Go to paris-1").get_attribute("href")

    def _tunnel(self):
        self.follow("Publish a server of its site")
        self.fill(name="Db prod", target_address="127.0.0.1", target_ports=str(self.target.port))
        self.press("Create the tunnel")
        # What is wrong is said at its field, which has the focus.
        self.page.locator("#name-error").wait_for()
        self.has_focus("name")
        self.chromium.check("tunnel-wrong")
        self.assertEqual(self.page.locator("[name=target_address]").input_value(), "127.0.0.1")
        self.fill(name="db-prod")
        self.press("Create the tunnel")
        self.see("Created db-prod.")
        self.tunnel = self.page.url

    def _user_and_key(self):
        self.key = Keys(self.directory, "alice-key")
        self.chromium.visit("/admin/users")
        self.follow("New user")
        self.fill(name="alice", title="Alice Liddell", email="alice@example.com")
        self.press("Create the user")
        self.see("Created alice.")
        self.user = self.page.url
        self.follow("Access")
        self.page.get_by_text("Add a key that they have").click()
        self.fill(public_key="nonsense", key_title="laptop")
        self.press("Add the key")
        self.page.locator("#public_key-error").wait_for()
        self.fill(public_key=self.key.public.read_text())
        self.press("Add the key")
        self.see("The key is added.")
        self.press("Create a link to set a password")
        self.see("It is shown only once")
        self.chromium.check("user-link")

    def _group_and_policy(self):
        self.chromium.visit("/admin/groups/new")
        self.fill(name="dba", title="Database administrators")
        self.press("Create the group")
        self.fill(member="ali")
        self.page.locator("#people option[value=alice]").wait_for(state="attached")
        self.fill(member="alice")
        self.press("Add")
        self.see("Added alice.")
        self.group = self.page.url
        self.chromium.visit("/admin/policies/new")
        self.fill(name="office", source_networks="127.0.0.0/8\n::1/128")
        self.press("Create the policy")
        self.see("from 127.0.0.0/8 or ::1/128")
        self.policy = self.page.url

    def _assign(self):
        self.page.goto(self.tunnel)
        self.see("Nobody yet.")
        self.follow("Assign it to somebody")
        self.fill(who="nobody-there")
        self.press("Assign")
        self.see("there is no user and no group nobody-there")
        self.fill(who="dba")
        self.page.locator(".assign [name=policy]").fill("office")
        self.press("Assign")
        self.see("Assigned to dba.")

    def _live_session(self):
        client = Client(self.directory, self.gateway)
        self.client = client
        session, port = client.forward("alice", f"db-prod:{self.target.port}", key=self.key)
        self.addCleanup(session.stop)
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.addCleanup(self.connection.close)
        self.chromium.visit("/admin/sessions")
        self.connection.sendall(bytes(3 * 1024))
        row = self.page.locator("tr[id^=ses_]")
        # It comes by itself, with its bytes.
        row.locator("td.number", has_text="3.0 KiB").first.wait_for()
        row.get_by_text("1 to db-prod").click()
        row.get_by_role("link", name="paris-1").wait_for()
        self.chromium.check("sessions-live")
        return session

    def _end(self, session):
        row = self.page.locator("tr[id^=ses_]")
        row.locator("a.danger").last.click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_text("End alice's session?").wait_for()
        dialog.get_by_text("1 channel will be cut off.").wait_for()
        self.chromium.check("session-end")
        dialog.get_by_role("button", name="End session").click()
        self.see("The session is ended.")
        session.wait_for("ended by administrator root")
        session.process.wait(30)
        while self.connection.recv(1 << 16):
            pass

    def _refusal(self):
        self.page.goto(f"{self.policy}/settings")
        self.page.locator("#edit > summary").click()
        self.page.locator("[name=valid_until]").fill("2026-01-01T00:00:00")
        self.press("Save")
        self.see("until 2026-01-01 00:00 UTC")
        status, _, errors = self.client.run(
            "alice", "-W", f"db-prod:{self.target.port}", key=self.key
        )
        self.assertNotEqual(status, 0)
        self.assertIn(b"db-prod: closed 2026-01-01 00:00 UTC", errors)
        self.chromium.visit("/admin/audit")
        self.page.get_by_label("Search").fill("refused")
        # What doesn't match goes while one types, and the address says what is shown.
        self.page.locator("tr", has_text="group.created").wait_for(state="detached")
        self.page.wait_for_url("**q=refused**")
        row = self.page.locator("tr", has_text="channel.refused").first
        row.locator("summary").click()
        self.chromium.check("audit")
        row.get_by_role("link", name="Explain it").click()
        self.see("✕ Refused")
        self.see("db-prod may be opened with a key")
        self.see("db-prod: closed 2026-01-01 00:00 UTC")
        self.chromium.check("explain")

    def _look_at_the_rest(self):
        for path, name in [
            ("/admin", "overview"),
            ("/admin/tunnels", "applications"),
            ("/admin/tunnels/new", "tunnel-new"),
            (self.tunnel, "tunnel"),
            (f"{self.tunnel}/delete", "tunnel-delete"),
            ("/admin/sites", "sites"),
            (self.site, "site"),
            ("/admin/connectors", "connectors"),
            (self.connector, "connector"),
            ("/admin/users", "users"),
            (self.user, "user"),
            ("/admin/groups", "groups"),
            (self.group, "group"),
            ("/admin/policies", "policies"),
            (self.policy, "policy"),
            ("/admin/sessions?live=false", "sessions-past"),
            ("/admin/settings", "settings"),
            ("/admin/nothing", "not-found"),
        ]:
            self.shot(path.removeprefix(self.chromium.origin), name)
        self.page.set_viewport_size({"width": 360, "height": 800})
        self.chromium.visit("/admin/settings")
        self.page.get_by_text("Menu").click()
        for here in self.page.locator("nav [aria-current]").all():
            # Where one is can be seen in the one menu that a phone has.
            box = here.bounding_box()
            self.assertTrue(box["x"] >= 0 and box["x"] + box["width"] <= 360, box)

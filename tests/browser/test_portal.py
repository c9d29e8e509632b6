"""The applications portal as it looks and feels: whole, small, and for the keyboard alone."""

import shlex

from tests.browser.case import Keyboard
from tests.browser.portal import Visitor
from tests.browser.test_connecting import PortalCase
from tests.integration.processes import Process, free_port
from tests.integration.targets import SpeakingTarget, as_postgresql
from tests.requirements import require_executable
from tunnelcloud.domain.connecting.tools import CLIENT_NAMES, CONNECTING_NAMES


class LookTests(PortalCase):
    """What holds for every page of ours, in each of its states."""

    def look(self, path, name):
        self.visitor.chromium.visit(path)
        self.visitor.chromium.check(name)

    def test_applications(self):
        self.look("/", "applications")
        self.page.locator("input[type=search]").fill("nothing is called so")
        self.page.get_by_text("No tunnel has").wait_for()
        self.visitor.chromium.check("applications-none-found")

    def test_panel(self):
        self.look(self.portal.panel("several"), "panel-key-and-token")
        self.look(self.portal.panel("db", "?tool=putty"), "panel-putty")
        self.look(self.portal.panel("db", "?local=here&tool=other"), "panel-failing")
        self.visitor.open("db")
        self.visitor.token()
        self.page.get_by_role("button", name="Check the path").click()
        self.page.locator(".hops").get_by_text("connected to").wait_for()
        focused = self.page.evaluate("document.activeElement.textContent")
        self.assertEqual(focused, "Check again")
        self.visitor.chromium.check("panel-token-and-path")

    def test_keys_and_sessions(self):
        self.look("/keys", "keys")
        self.look("/sessions", "sessions")

    def test_asking_and_an_emergency(self):
        """One user asks, and opens it in an emergency; the other is asked, and reviews it."""
        api, alice = self.portal.api, self.portal.alice
        bob = api("POST", "/users", name="asker")["id"]
        group = api("POST", "/groups", name="bosses")["id"]
        api("PUT", f"/groups/{group}/members/{alice}")
        policy = api("POST", "/policies", name="asked", approval="others", approvers_id=group,
                     emergency_seconds=600)["id"]  # fmt: skip
        tunnel = self.portal.tunnels["db"]
        api("POST", f"/tunnels/{tunnel}/assignments", user_id=bob, methods=["key"],
            policy_id=policy)  # fmt: skip
        asker = Visitor(self.portal, bob)
        self.addCleanup(asker.close)
        page = asker.chromium.page
        asker.chromium.visit("/requests")
        page.get_by_role("link", name="Ask for access").click()
        page.get_by_label("Why").fill("a restore")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.get_by_text("You have asked to open db").wait_for()
        asker.chromium.visit(f"/requests/new?tunnel={tunnel}")
        page.get_by_label("Why").fill("an outage")
        page.get_by_text("It is an emergency, and nobody").click()
        asker.chromium.check("ask-for")
        page.get_by_role("button", name="Open it now").click()
        page.get_by_text("You may open db now").wait_for()
        self.visitor.chromium.visit("/requests")
        self.page.get_by_role("link", name="Answer asker's request").click()
        self.page.get_by_role("button", name="Approve").wait_for()
        self.visitor.chromium.check("request")
        self.page.goto(f"{self.page.url.partition('/requests')[0]}/requests")
        self.page.get_by_role("link", name="Review asker's emergency with db").click()
        self.page.get_by_role("button", name="I have reviewed it").wait_for()
        self.page.get_by_role("button", name="I have reviewed it").click()
        self.page.get_by_text("You have reviewed what asker did with db").wait_for()

    def test_nobody_has_assigned_anything_yet(self):
        bob = Visitor(self.portal, self.portal.api("POST", "/users", name="bob")["id"])
        self.addCleanup(bob.close)
        for path, name in [
            ("/", "empty"),
            ("/keys", "keys-empty"),
            ("/keys/new", "key-new"),
            ("/sessions", "sessions-empty"),
        ]:
            bob.chromium.visit(path)
            bob.chromium.check(name)


class PhoneTests(PortalCase):
    """A person's own confirmation, on a phone beside the machine whose connection waits."""

    def setUp(self):
        super().setUp()
        api = self.portal.api
        database = SpeakingTarget(as_postgresql(b"a row"))
        self.addCleanup(database.close)
        policy = api("POST", "/policies", name="confirmed", approval="self")["id"]
        self.addCleanup(api, "DELETE", f"/policies/{policy}")
        ports = [str(database.port)]
        self.tunnel = api("POST", "/tunnels", name="rows", site_id=self.portal.site,
                          target_address="127.0.0.1", target_ports=ports)["id"]  # fmt: skip
        self.addCleanup(api, "DELETE", f"/tunnels/{self.tunnel}")
        api("POST", f"/tunnels/{self.tunnel}/assignments", user_id=self.portal.alice,
            methods=["key"], policy_id=policy)  # fmt: skip
        self.local, gateway = free_port(), self.portal.gateway
        key = shlex.quote(str(self.portal.key.path))
        self.ssh = self.portal.run(
            f"ssh -v -N -i {key} -L {self.local}:rows:{database.port} "
            f"-p {gateway.ssh_port} alice@127.0.0.1"
        )
        self.addCleanup(self.ssh.stop)
        pattern = "^rows: a connection waits until you confirm it at (http.+)$"
        self.place = self.ssh.wait_for(pattern)[1]
        self.ssh.wait_for("Entering interactive session")
        self.page.set_viewport_size({"width": 360, "height": 740})
        self.addCleanup(self.page.set_viewport_size, {"width": 1280, "height": 800})

    def psql(self):
        place = f"postgresql://nobody@127.0.0.1:{self.local}/any?sslmode=disable"
        words = [require_executable("psql"), "-X", "-A", "-t", "-c", "query", place]
        process = Process(words, {"PGGSSENCMODE": "disable"})
        self.addCleanup(process.stop)
        return process

    def answer(self, button):
        """Follow the request that shows up by itself, and press a button of its question."""
        self.page.get_by_role("link", name="Answer alice's request for rows").click()
        self.page.get_by_role("heading", name="Is this you?").wait_for()
        self.page.get_by_role("button", name=button).click()
        self.page.wait_for_url("**/requests")

    def test_psql_gets_its_rows_once_it_is_confirmed(self):
        self.page.goto(self.place)
        psql = self.psql()
        self.answer("Yes, it is me")
        psql.wait_for("^a row$")

        self.page.get_by_role("button", name="End the grant for rows").click()
        self.page.get_by_text("No approval is in force.").wait_for()
        refused = self.psql()
        self.answer("No, refuse it")
        self.ssh.wait_for("rows: refused by alice")
        refused.wait_for("server closed the connection unexpectedly")


class KeyboardTests(Keyboard, PortalCase):
    """Everything without a mouse."""

    def test_from_sign_in_to_a_running_tunnel(self):
        (target,) = self.ports("db")
        port = free_port()
        self.visitor.chromium.visit("/")
        self.strike("/")
        self.page.keyboard.type("db")
        self.page.locator("#cards li").nth(1).wait_for(state="detached")
        self.tab_to(f"a[href='/applications/{self.portal.tunnels['db']}']")
        self.strike("Enter")
        self.page.wait_for_url("**/applications/*")
        self.tab_to("#options summary")
        self.strike("Enter")
        self.tab_to(f"#port_{target}")
        self.strike("Control+a")
        self.page.keyboard.type(str(port))
        self.page.locator("#command", has_text=str(port)).wait_for()
        self.tab_to("form[action$='/token'] button")
        self.strike("Enter")
        self.page.locator("#token").wait_for()
        self.tab_to("[data-copy=token]")
        self.strike("Enter")
        self.page.locator("#said", has_text="Copied").wait_for(state="attached")
        token = self.page.evaluate("navigator.clipboard.readText()")
        self.tab_to("[data-copy=command]")
        self.strike("Enter")
        self.page.locator("[data-copy=command]", has_text="Copied").wait_for()
        command = self.page.evaluate("navigator.clipboard.readText()")
        self.works(self.portal.run(command, token), ("127.0.0.1", port))

    def test_pins_tools_keys_and_the_path(self):
        self.visitor.chromium.visit("/")
        pin = f"form[action='/applications/{self.portal.tunnels['six']}/pin'] button"
        self.tab_to(pin)
        self.strike("Enter")
        self.page.locator("#cards li").first.get_by_text("six").first.wait_for()
        self.page.locator("#cards li").first.get_by_role("button", name="Unpin").wait_for()
        self.visitor.open("six")
        self.tab_to(".other-clients summary")
        self.strike("Enter")
        self.tab_to("[aria-label='SSH clients'] a:nth-child(4)")
        self.strike("Enter")
        self.page.locator("section[aria-label=PuTTY]").wait_for()
        self.tab_to("form[action*='/check'] button")
        self.strike("Enter")
        self.page.locator(".hops").wait_for()
        self.strike("g", "k")
        self.page.wait_for_url("**/keys")
        self.strike("n")
        self.page.wait_for_url("**/keys/new")
        self.tab_to("[data-maker] button")
        with self.page.expect_download():
            self.strike("Enter")
        self.page.get_by_role("heading", name="is ready").wait_for()
        self.assertEqual(self.page.evaluate("document.activeElement.id"), "content")

    def test_every_tools_tab_is_a_link(self):
        self.visitor.open("db", "?client=&tool=other")
        names = self.page.locator("nav.tabs a").all_text_contents()
        self.assertEqual(
            sorted(names),
            sorted(["The command", *CLIENT_NAMES.values(), *CONNECTING_NAMES.values()]),
        )


class PlainTests(PortalCase):
    def test_without_scripts(self):
        """All but the live editing: choices are sent by a button, and nothing is hidden."""
        carol = self.portal.api("POST", "/users", name="carol")["id"]
        self.portal.assign("db", carol)
        plain = Visitor(self.portal, carol, scripts=False)
        self.addCleanup(plain.close)
        page = plain.page
        (target,) = self.ports("db")
        port = free_port()
        page.get_by_role("searchbox").fill("db")
        page.get_by_role("searchbox").press("Enter")
        page.get_by_role("link", name="db").click()
        page.locator("summary", has_text="Options").click()
        page.locator(f"#port_{target}").fill(str(port))
        page.get_by_role("button", name="Update the command").click()
        page.locator("summary", has_text="Other tools").click()
        page.get_by_role("link", name="DBeaver").click()
        self.assertEqual(plain.rows("command")["Main", "Port"], str(port))
        page.get_by_role("button", name="Get a one-time token").click()
        token = page.locator("#token").inner_text()
        command = page.locator("#command").inner_text()
        self.works(self.portal.run(command, token), ("127.0.0.1", port))
        page.get_by_role("button", name="Check the path").click()
        page.locator(".hops").get_by_text("connected to").wait_for()
        page.get_by_role("link", name="Keys").click()
        page.get_by_role("link", name="Make a key").click()
        page.get_by_role("button", name="Make and download").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        self.assertTrue(download.value.suggested_filename.startswith("tunnelcloud-made-"))
        page.get_by_role("link", name="Sessions").click()
        page.locator("[aria-label=Past]").wait_for()
        self.assertEqual(page.locator("[data-copy]").count(), 0)

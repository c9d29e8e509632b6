"""An administrator publishes a server under a policy in under two minutes, by the pages' scripts.

What is counted are fields, presses and loads of pages, which no busy machine changes; what a person
takes for each stands in ``tests.browser.case``.  The machine's own time is printed.
"""

from tests.browser.case import NAME, PASSWORD, BrowserCase, CountedCase, Keyboard
from tests.browser.chromium import Chromium

SECONDS_A_DAY = 1
"""What they take for one more button of a row, such as the next day."""

MOST_LOADS = 10


class AdministratorTests(CountedCase):
    def setUp(self):
        super().setUp()
        self.sign_in_first()
        self.site = self.api("POST", "/sites", name="paris")
        self.days = self.loads = 0
        self.begin_walk()
        self.page.on("domcontentloaded", self._loaded)

    def _loaded(self, _):
        self.loads += 1

    def api(self, method, path, **body):
        """Ask the API as somebody else would meanwhile."""
        return self.gateway.api(method, path, body or None)

    def test_from_nothing_to_a_tunnel_under_a_policy(self):
        self.follow("Groups")
        self.follow("New group")
        self.fill(name="dba")
        self.press("Create the group")
        self.see("Created dba.")
        self.follow("Policies")
        self.follow("New policy")
        self._policy()
        self.follow("Tunnels")
        self.follow("New tunnel")
        self.fill(name="db", target_address="10.0.0.5", target_ports="5432", who_0="group:dba")
        self.page.locator("#policy_0").fill("office")
        self.done += 1
        self.press("Create the tunnel")
        self.see("Created db.")
        self.assertLessEqual(self.loads, MOST_LOADS)
        self.end_walk("tunnel, group, policy and assignment", self.days * SECONDS_A_DAY)
        tunnel_id = self.page.url.rpartition("/")[2]
        [given] = self.api("GET", f"/tunnels/{tunnel_id}/assignments")["items"]
        self.assertEqual(
            (sorted(given["methods"]), bool(given["policy_id"])), (["key", "token"], True)
        )
        self._comes_by_itself()

    def _policy(self):
        """Day buttons, times, zones, chips: the sentence beside them is what is saved."""
        page, preview = self.page, self.page.locator("#preview")
        self.fill(name="office")
        row = page.get_by_role("group", name="Hours 1")
        zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
        self.assertEqual(row.locator("[name^=windows_zone]").input_value(), zone)
        self.assertGreater(page.locator("#windows-zones option").count(), 300)
        for day in ("Mon", "Tue", "Wed", "Thu", "Fri"):
            row.get_by_label(day).check()
            self.days += 1
        self.fill(windows_start_0="09:00", windows_end_0="18:00", windows_zone_0="Europe/Paris")
        preview.get_by_text("weekdays 09:00\u201318:00 Europe/Paris", exact=False).first.wait_for()
        networks = page.locator("[data-to-chips=source_networks]")
        networks.press_sequentially("10.0.0.0/8 ")
        self.done += 1
        page.locator("[data-chips=source_networks] .chip", has_text="10.0.0.0/8").wait_for()
        self.assertEqual(networks.input_value(), "")
        preview.get_by_text("from 10.0.0.0/8", exact=False).first.wait_for()
        # One more row, which stays empty, is no condition.
        page.get_by_role("button", name="+ More hours").click()
        page.get_by_role("group", name="Hours 2").wait_for()
        self.chromium.check("policy-new")
        self.press("Create the policy")
        self.see("Created office.")
        self.see("weekdays 09:00\u201318:00 Europe/Paris, from 10.0.0.0/8")

    def _comes_by_itself(self):
        """What somebody else adds appears on a page that is open, which isn't loaded again."""
        page = self.chromium.visit(f"/admin/sites/{self.site['id']}")
        # Whoever watches has a table: a site without a connector has none to add to.
        self.api("POST", "/connectors", name="paris-1", site_id=self.site["id"])
        page.reload()
        # Rows don't move under the pointer.
        page.mouse.move(0, 0)
        self.loads = 0
        page.get_by_role("row", name="paris-1").wait_for()
        self.api("POST", "/connectors", name="paris-2", site_id=self.site["id"])
        page.get_by_role("row", name="paris-2").wait_for()
        self.assertEqual(self.loads, 0)


class KeyboardTests(Keyboard, BrowserCase):
    def type_into(self, field, text):
        self.tab_to(f"main [name={field}]")
        self.page.keyboard.type(text)

    def test_from_nothing_to_a_tunnel_under_a_policy(self):
        """Without a mouse; each field and button shows that it has the focus."""
        self.sign_in_first()
        self.strike("g", "s")
        self.page.wait_for_url("**/admin/sites")
        self.strike("n")
        self.page.wait_for_url("**/sites/new")
        self.type_into("name", "paris")
        self.strike("Enter")
        self.see("Created paris.")
        self.strike("g", "p")
        self.page.wait_for_url("**/admin/policies")
        self.strike("n")
        self.page.wait_for_url("**/policies/new")
        self.type_into("name", "office")
        self.tab_to("main [value=Mon]")
        self.strike("Space")
        self.type_into("windows_start_0", "0900AM")
        self.type_into("windows_end_0", "0600PM")
        self.tab_to("main button.main")
        self.strike("Enter")
        self.see("Mon 09:00\u201318:00")
        self.strike("g", "t")
        self.page.wait_for_url("**/admin/tunnels")
        self.strike("n")
        self.page.wait_for_url("**/tunnels/new")
        for field, text in (("name", "db"), ("target_address", "10.0.0.5"),
                            ("target_ports", "5432"), ("who_0", NAME)):  # fmt: skip
            self.type_into(field, text)
        self.tab_to("#policy_0")
        self.page.keyboard.type("office")
        self.tab_to("main button.main")
        self.strike("Enter")
        self.see("Created db.")
        self.tab_to("nav.tabs a[href$='/access']")
        self.strike("Enter")
        self.page.wait_for_url("**/access")
        # A row's menu opens, and what removes something asks in a dialog.
        self.tab_to("tbody .menu summary")
        self.strike("Enter")
        self.tab_to("tbody .menu a.bad-word")
        self.strike("Enter")
        self.page.get_by_role("dialog").get_by_role("button").first.wait_for()
        self.tab_to("dialog button.sure")
        self.strike("Enter")
        self.see("Nobody yet.")


class PlainTests(BrowserCase):
    def test_without_scripts(self):
        """An administrator's objects are made, changed and deleted by forms alone."""
        self.sign_in_first()
        plain = Chromium(self.chromium.origin, scripts=False)
        self.addCleanup(plain.close)
        self.page = plain.page
        plain.visit("/sign-in")
        self.fill(name=NAME, password=PASSWORD)
        self.press("Sign in")
        for place, adding, making, fields in [
            ("Sites", "New site", "Create the site", {"name": "paris"}),
            ("Groups", "New group", "Create the group", {"name": "dba"}),
            ("Policies", "New policy", "Create the policy",
             {"name": "office", "source_networks": "10.0.0.0/8"}),
            ("Tunnels", "New tunnel", "Create the tunnel",
             {"name": "db", "target_address": "10.0.0.5", "target_ports": "5432",
              "who_0": "dba"}),
        ]:  # fmt: skip
            self.follow(place)
            self.follow(adding)
            self.fill(**fields)
            self.press(making)
            self.see(f"Created {fields['name']}.")
        self.follow("Settings")
        plain.visit("/admin/users")
        self.fill(q="nobody is called so")
        self.page.keyboard.press("Enter")
        self.see("Nothing here matches")
        plain.visit("/admin/users?sort=-last_seen")
        self.page.get_by_role("row", name=NAME).wait_for()
        self.follow("Policies")
        self.follow("office")
        self.page.locator("nav.tabs a", has_text="Settings").click()
        self.page.locator("#edit > summary").click()
        self.fill(title="Where we work")
        self.press("Preview")
        self.see("it isn't assigned to anybody.")
        self.press("Save")
        self.see("Saved.")
        self.follow("Tunnels")
        self.follow("db")
        self.follow("Access")
        self.page.locator("tbody .menu summary").first.click()
        self.page.locator("tbody .menu a.bad-word").first.click()
        self.page.locator("main button.sure").click()
        self.see("Nobody yet.")
        self.follow("Audit")
        self.page.locator("main", has_text="assignment.deleted").wait_for()
        self.follow("Explain")
        self.fill(user=NAME, tunnel="db")
        self.press("Explain")
        self.see("\u2715 Refused")

"""Pages with 10,000 rows behind them, and with names of HTML, escapes and bidi characters."""

from tests.browser.case import BrowserCase
from tests.browser.crowd import make_crowd
from tunnelcloud.store.engine import open_store

LISTS = ("tunnels", "sites", "connectors", "users", "groups", "policies", "sessions", "audit")
TABS = {"tunnels": ("access", "settings"), "users": ("access", "settings")}


class CrowdTests(BrowserCase):
    def furnish(self, state):
        state.mkdir(0o700)
        store = open_store("sqlite", state)
        self.ids = store.write(make_crowd)
        store.close()

    def test_pages_stay_calm(self):
        self.sign_in_first()
        self.shot("/admin", "full-overview")
        for name in LISTS:
            self.shot(f"/admin/{name}", f"full-{name}")
            self._only_text()
        for name, object_id in self.ids.items():
            self.shot(f"/admin/{name}/{object_id}", f"full-{name}-one")
            self._only_text()
            for tab in TABS.get(name, ()):
                self.shot(f"/admin/{name}/{object_id}/{tab}", f"full-{name}-{tab}")
                self._only_text()
        self._search()
        self._keyboard()
        self._pod_goes_and_comes()

    def _pod_goes_and_comes(self):
        """A page that keeps itself fresh says when it can't."""
        self.chromium.visit("/admin/sessions")
        self.page.locator("#lost").wait_for(state="hidden")
        self.gateway.process.stop()
        self.page.locator("#lost").wait_for()
        self.chromium.faults.clear()
        self.gateway.start()
        self.page.locator("#lost").wait_for(state="hidden")
        # Signed out meanwhile: it asks, and shows no hole.
        other = self.chromium.context.new_page()
        other.goto("/admin")
        other.get_by_role("button", name="Sign out").click()
        other.wait_for_url("**/sign-in**")
        other.close()
        self.page.wait_for_url("**/sign-in?next=**")

    def _only_text(self):
        self.assertEqual(self.page.locator("img[src=x]").count(), 0)
        text = self.page.locator("main").inner_text()
        for invisible in ("\u202e", "\x1b"):
            self.assertNotIn(invisible, text)

    def _search(self):
        """A list narrows while one types, without leaving the field."""
        self.chromium.visit("/admin/users")
        self.page.keyboard.press("/")
        self.page.keyboard.type("user-0999")
        self.page.locator("tbody tr").nth(9).wait_for()
        self.page.locator("tbody tr").nth(10).wait_for(state="detached")
        self.has_focus("q")
        self.page.wait_for_url("**q=user-0999**")
        self.page.keyboard.type("no such")
        self.see("Nothing here matches")

    def _keyboard(self):
        """One goes anywhere by keys; ? lists them, and they can be turned off."""
        page = self.chromium.visit("/admin")
        page.keyboard.press("g")
        page.keyboard.press("p")
        page.wait_for_url("**/admin/policies")
        page.keyboard.press("n")
        page.wait_for_url("**/admin/policies/new")
        # A page that has no search leads to the one for everything.
        page.keyboard.press("Escape")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("/")
        page.wait_for_url("**/admin/search")
        page = self.chromium.visit("/admin")
        page.keyboard.press("Tab")
        self.assertEqual(page.evaluate("document.activeElement.className"), "skip")
        page.keyboard.press("?")
        self.chromium.check("keyboard")
        page.get_by_label("One-key shortcuts").uncheck()
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.keyboard.press("u")
        self.assertTrue(page.url.endswith("/admin"))
        switch = page.locator("[data-theme-switch]")
        for theme in ("light", "dark", None):
            switch.click()
            self.assertEqual(page.evaluate("document.documentElement.dataset.theme ?? null"), theme)

"""Searches of the audit are kept under a name and removed, by forms alone."""

import html
import re

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import saved_searches

SAVE, REMOVE = "/admin/audit/searches", "/admin/audit/searches/remove"
HOSTILE = '"><script>alert(1)</script>'


class SavedSearchTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)

    def audit(self, query=""):
        return self.browser.get(f"/admin/audit?{query}").body.decode()

    def saved(self, page):
        found = re.findall(r'<span class="pair"><a class="tag" href="([^"]+)"[^>]*>([^<]+)<', page)
        return {html.unescape(name): html.unescape(address) for address, name in found}

    def save(self, name, query="event=web_login.&q=the%26", status=303):
        return self.browser.send(f"/admin/audit?{query}", {"name": name}, SAVE, status=status)

    def test_saved_shown_and_removed(self):
        self.assertNotIn("Save this search", self.audit(), "there is nothing to save yet")
        page = self.browser.get(self.save("  Sign-ins ").headers["location"]).body.decode()
        self.assertIn("Saved as Sign-ins.", page)
        self.assertEqual(self.saved(page), {"Sign-ins": "/admin/audit?q=the%26&event=web_login."})
        self.assertIn('aria-current="true">Sign-ins', page)
        # An auditor changes nothing, not even what is their own.
        other = self.signed_in(Role.AUDITOR).get("/admin/audit?q=the").body.decode()
        self.assertEqual(self.saved(other), {})
        self.assertNotIn("Save this search", other)
        self.save(HOSTILE, "q=x")
        page = self.audit()
        self.assertNotIn("<script>alert", page)
        self.assertIn(HOSTILE, self.saved(page))
        self.browser.send("/admin/audit", {"name": HOSTILE}, REMOVE)
        self.assertEqual(list(self.saved(self.audit())), ["Sign-ins"])

    def test_what_is_wrong_is_said_at_the_field(self):
        for name, said in [("", "type 1 to 60"), ("x" * 61, "type 1 to 60"), ("\x1b", "type 1 to")]:
            page = self.save(name, status=422).body.decode()
            self.assertIn(said, page)
            # The search is still there, and what was typed.
            self.assertIn('name="event" value="web_login."', page)
        self.assertIn(f'value="{"x" * 61}"', self.save("x" * 61, status=422).body.decode())
        self.patch(saved_searches, "MOST", 1)
        self.save("one")
        page = self.save("two", status=422).body.decode()
        self.assertIn("remove one first", page)
        self.assertEqual(list(self.saved(self.audit())), ["one"])

    def test_how_long_a_filter_may_be(self):
        for size, status in ((320, 303), (321, 422)):
            answer = self.save("long", f"actor={'a' * size}", status=status)
        self.assertIn("Type 320 characters at most", answer.body.decode())

    def test_no_search_is_saved_that_the_audit_refuses(self):
        page = self.audit("event=no.such")
        self.assertIn("There is no such event", page)
        page = self.save("bad", "event=no.such", status=422).body.decode()
        self.assertIn("There is no such event", page)
        self.assertEqual(self.saved(self.audit()), {})

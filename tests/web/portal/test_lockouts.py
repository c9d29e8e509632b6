"""Who is kept out is on the overview, and can be let in again."""

from tests.web.portal.browser import PASSWORD, Browser, PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.net.source_limits import ShutOut
from tunnelcloud.store import audit
from tunnelcloud.web.portal import password_attempts
from tunnelcloud.web.portal.password_attempts import (
    FREE_FOR_A_NAME,
    FREE_FOR_A_NETWORK,
    Attempt,
    SignInAttempts,
)


class LockoutTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)

    def fail_to_sign_in(self, times, name="the-user", source="192.0.2.7", device=""):
        for _ in range(times):
            self.context.attempts.begin(Attempt(name, source, device))
            self.clock.advance(0.001)

    def overview(self):
        return self.browser.get("/admin").body.decode()

    def test_nobody(self):
        self.fail_to_sign_in(FREE_FOR_A_NAME - 1)
        self.assertNotIn("Kept out", self.overview())
        self.assertEqual(self.api("GET", "/lockouts"), {"items": []})

    def test_both_doors(self):
        self.live.kept_out = [ShutOut("198.51.100.0/24", 120, 60)]
        self.fail_to_sign_in(FREE_FOR_A_NAME)
        ssh, portal = self.api("GET", "/lockouts")["items"]
        self.assertEqual((ssh["door"], ssh["source"], ssh["name"]), ("ssh", "198.51.100.0/24", ""))
        self.assertLess(ssh["since"], ssh["until"])
        self.assertEqual((portal["source"], portal["name"]), ("192.0.2.7", "the-user"))
        page = self.overview()
        self.assertIn("198.51.100.0/24 can&#39;t connect by SSH", page.replace("'", "&#39;"))
        self.assertIn("“the-user” from 192.0.2.7", page)
        self.assertIn("/admin/audit?q=198.51.100.0", page)
        auditor = self.signed_in(Role.AUDITOR).get("/admin").body.decode()
        self.assertIn("Kept out", auditor)
        self.assertNotIn("Let in again", auditor)

    def test_a_name_is_let_in(self):
        self.fail_to_sign_in(FREE_FOR_A_NAME)
        lift = "/admin/lockouts/lift"
        page = self.browser.send_on("/admin", action=lift).body.decode()
        self.assertIn("the-user may try again now.", page)
        self.assertNotIn("Kept out", page)
        self.assertEqual(self.context.attempts.begin(Attempt("the-user", "192.0.2.7")), 0)
        found = self.store.read(audit.list_page, sort="-created_at").items[0].event
        self.assertEqual((found.event, found.actor), ("lockout.lifted", "the-admin"))
        self.assertEqual(found.data, {"door": "portal", "source": "192.0.2.7", "name": "the-user"})

    def test_a_source_is_let_in(self):
        self.live.kept_out = [ShutOut("198.51.100.7", 120, 60)]
        self.browser.send("/admin", action="/admin/lockouts/lift")
        self.assertEqual(self.live.ended, [("198.51.100.7", "let in")])

    def test_a_network_and_a_browser_that_is_known(self):
        self.fail_to_sign_in(FREE_FOR_A_NAME, device="web_1")
        [one] = self.context.attempts.slowed(5)
        self.assertEqual((one.source, one.name), ("", "the-user"))
        for number in range(FREE_FOR_A_NETWORK):
            self.fail_to_sign_in(1, name=f"user-{number}", source="192.0.2.9")
        self.assertIn(
            ("192.0.2.9", ""), {(x.source, x.name) for x in self.context.attempts.slowed(9)}
        )
        self.assertEqual(len(self.context.attempts.slowed(1)), 1)
        self.context.attempts.forgive("", "the-user")
        self.context.attempts.forgive("192.0.2.9", "")
        self.assertEqual(self.context.attempts.slowed(9), [])
        Browser(self).sign_in("the-user", PASSWORD)

    def test_who_mistypes_codes_can_sign_in(self):
        user = self.signed_in(Role.USER)
        for _ in range(FREE_FOR_A_NAME):
            user.send("/device", {"code": "WRNG-CODE"}, "/device", status=422)
            self.clock.advance(0.001)
        [one] = self.api("GET", "/lockouts")["items"]
        self.assertEqual((one["door"], one["source"], one["name"]), ("codes", "", "the-user"))
        page = self.overview()
        self.assertIn("“the-user” from a known browser can&#39;t confirm codes", page)
        self.assertNotIn("t sign in to the portal", page)
        self.fail_to_sign_in(FREE_FOR_A_NAME, device="web_1")
        self.api("POST", "/lockouts/lift", {"door": "portal", "name": "the-user"})
        [one] = self.api("GET", "/lockouts")["items"]
        self.assertEqual(one["door"], "codes")
        self.api("POST", "/lockouts/lift", {"door": "codes", "name": "the-user"})
        self.assertEqual(self.api("GET", "/lockouts"), {"items": []})

    def test_no_more_is_looked_at_than_can_wait(self):
        """Who failed before the longest wait waits no more: they come first, and aren't walked."""
        self.fail_to_sign_in(FREE_FOR_A_NAME)
        self.clock.advance(password_attempts.LONGEST_WAIT + 1)
        self.fail_to_sign_in(FREE_FOR_A_NAME, name="the-admin")
        waits, asked = SignInAttempts._wait, []

        def wait(kept, key, free):
            asked.append(key)
            return waits(kept, key, free)

        self.patch(SignInAttempts, "_wait", wait)
        self.assertEqual([one.name for one in self.context.attempts.slowed(9)], ["the-admin"])
        self.assertNotIn(("192.0.2.7", "the-user"), asked)

    def test_hostile_names(self):
        self.fail_to_sign_in(FREE_FOR_A_NAME, name="<script>\u202ealert(1)")
        page = self.overview()
        self.assertNotIn("<script>\u202e", page)
        self.assertIn("&lt;script&gt;\\u202ealert(1)", page)

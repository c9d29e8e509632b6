"""What checks of targets found is where an administrator looks, and is made again from there."""

import html
from datetime import UTC, datetime, timedelta

from tests.web.portal.browser import PortalTestCase
from tests.web.support import NOW
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.target_certificates import SeenCertificate
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store import connectors, sites, tunnels
from tunnelcloud.web.interfaces import ConnectorHealth

AT = datetime.fromtimestamp(NOW, UTC)


class CheckPageTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)
        self.tunnel = self.make_tunnel("db")
        (site,) = self.store.read(sites.list_page).items
        connector = self.store.write(connectors.create, name="c", site_id=site.id)
        self.live.health = {connector.id: ConnectorHealth(1.0, 0, "1")}
        self.path = f"/admin/tunnels/{self.tunnel['id']}"
        self.site_path = f"/admin/sites/{site.id}"

    def found(self, days):
        seen = SeenCertificate("<b>db</b>", "CA", AT - timedelta(days=90), AT + timedelta(days))
        good = seen.is_good(AT)
        return [DoctorStep("tls", good, 1.5, seen.text(AT), seen.warning(AT), seen)]

    def check(self):
        self.browser.send_on(self.path, action=f"{self.path}/check")
        return [self.browser.get(path).body.decode()
                for path in (self.path, "/admin/tunnels", self.site_path)]  # fmt: skip

    def test_before_and_after(self):
        self.assertIn("hasn't checked the path yet", self.text(self.path))
        self.live.steps = self.found(90)
        for page in self.check():
            self.assertIn("● Ready", page)
        page = self.text(self.path)
        self.assertIn("✓ It works.", page)
        self.assertIn("certificate of <b>db</b> by CA, ends 2027-04-15", page)
        self.assertIn("Check again", page)
        self.assertNotIn("<b>db", self.browser.get(self.path).body.decode())

    def test_a_warning_goes_when_a_check_shows_that_it_works(self):
        self.api("PATCH", f"/tunnels/{self.tunnel['id']}", {"target_address": "::1"})
        page = self.text(self.path)
        self.assertIn("::1 is a loopback address", page)
        self.assertIn("[::1]:", page)
        self.live.steps = self.found(90)
        self.assertNotIn("is a loopback address", self.check()[0])

    def text(self, path):
        return html.unescape(self.browser.get(path).body.decode())

    def test_a_certificate_that_ends_soon(self):
        self.live.steps = self.found(3)
        for page in self.check():
            self.assertIn("◐ Certificate ends in 3 days", page)
        self.assertIn("It works, but its certificate ends in 3 days", self.text(self.path))

    def test_the_overview_lists_what_ends_within_two_weeks(self):
        """By the store's clock, as everything else that ends."""
        said = f'the certificate of the target of <a href="{self.path}">db</a>'
        for days, listed in [(13, True), (15, False), (-1, False)]:
            ends = datetime.now(UTC) + timedelta(days)
            seen = SeenCertificate("db", "CA", AT - timedelta(900), ends)
            self.live.steps = [DoctorStep("tls", True, 1.5, "", "", seen)]
            self.check()
            self.assertEqual(said in self.browser.get("/admin").body.decode(), listed, days)
        self.live.steps = [DoctorStep("connect", True, 1.5, "")]
        self.check()
        self.assertNotIn(said, self.browser.get("/admin").body.decode())

    def test_one_that_ended(self):
        self.live.steps = self.found(-3)
        for page in self.check():
            self.assertIn("✕ Certificate ended 3 days ago", page)

    def test_a_target_that_fails(self):
        self.live.steps = [DoctorStep("connect", False, 1.0, "connect to 10.0.0.5:5432: refused")]
        for page in self.check():
            self.assertIn("✕ Doesn&#39;t answer", page)

    def test_how_far_it_goes_is_set_by_the_form(self):
        self.browser.send(self.path, {"target_check": "tls"}, self.path)
        self.assertEqual(self.store.read(tunnels.get, self.tunnel["id"]).target_check, "tls")

    def test_an_auditor_sees_it(self):
        self.live.steps = self.found(3)
        self.check()
        page = self.signed_in(Role.AUDITOR).get(self.path).body.decode()
        self.assertIn("ends in 3 days", page)
        self.assertNotIn(f"{self.path}/check", page)

"""One search for all that the administration has."""

import html
import re

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role


class SearchTests(PortalTestCase):
    def found(self, role, wanted):
        page = html.unescape(self.signed_in(role).get(f"/admin/search?q={wanted}").body.decode())
        part = page.split('<div id="found">')[1].split("</main>")[0]
        return re.findall(r"<h2>([^<]+)</h2>", part), re.findall(r'<a href="[^"]+">([^<]+)<', part)

    def test_objects_of_every_kind_and_actions(self):
        self.make_tunnel("paris-db", title="Orders")
        self.assertEqual(
            self.found(Role.ADMIN, "paris"), (["Tunnels", "Sites"], ["paris-db", "paris"])
        )
        self.assertEqual(self.found(Role.ADMIN, "ORDERS"), (["Tunnels"], ["paris-db"]))
        self.assertEqual(self.found(Role.ADMIN, "new+tun"), (["Actions"], ["New tunnel"]))
        self.assertEqual(self.found(Role.AUDITOR, "new+tun"), ([], []))

    def test_nothing_asked_and_nothing_found(self):
        browser = self.signed_in(Role.AUDITOR)
        self.assertIn(b"Type a part of a name", browser.get("/admin/search").body)
        page = browser.get("/admin/search?q=%3Cb%3E").body.decode()
        self.assertIn("Nothing matches “&lt;b&gt;”", page)

"""The overview: what needs attention first, charts of a chosen time, and what was done."""

import html
import re
from datetime import UTC, datetime

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.web.interfaces import LastCheck
from tunnelcloud.web.portal.charts import bars
from tunnelcloud.web.portal.pages.overview import RANGES


class OverviewTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)

    def page(self, query=""):
        return html.unescape(self.browser.get(f"/admin{query}").body.decode())

    def test_what_needs_attention_comes_first(self):
        self.assertNotIn("Needs attention", self.page())
        tunnel = self.make_tunnel("db")
        failed = DoctorStep("connect", False, 1.0, "connect to 10.0.0.5:5432: refused")
        self.live.checked[tunnel["id"]] = LastCheck(datetime.now(UTC), False, (failed,))
        page = self.page()
        self.assertLess(page.index("Needs attention"), page.index("The last 24 h"))
        self.assertRegex(page, r"✕ No connector yet</span>\s*<span>Site <a[^>]*>paris")
        self.assertIn(f'<a href="/admin/tunnels/{tunnel["id"]}">db</a>: connect to 10.0.0.5', page)

    def test_each_range_has_its_bars_and_an_axis(self):
        for one in RANGES:
            page = self.page(f"?range={one.name.replace(' ', '')}")
            self.assertIn(f"The last {one.name}", page)
            table = page.split('aria-label="The numbers"')[1].split("</table>")[0]
            self.assertEqual(table.count("<tr>"), one.slots + 1)
            self.assertIn(f'data-fresh="{one.fresh}"', page)
            self.assertGreater(len(re.findall(r'y="126">[^<]+</text>', page)), 8)
        self.assertIn("The last 24 h", self.page("?range=<b>"))

    def test_recent_activity_is_in_sentences(self):
        self.make_site(name="lyon")
        page = self.page()
        self.assertRegex(page, r"created site lyon</span>")
        self.assertNotIn("site.created", page)

    def test_texts_stand_below_their_bars(self):
        drawn = bars([1, 2, 3, 4], ["a", "", "b", ""])
        self.assertEqual(drawn.axis, ((0.0, "a"), (144.0, "b")))
        self.assertEqual(bars([1]).axis, ())

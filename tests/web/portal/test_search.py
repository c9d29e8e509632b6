"""A text that is far back: the page says that there is further to look, and leads there."""

import html
import re

from tests.web.portal.browser import Browser, PortalTestCase
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import audit
from tunnelcloud.store.transaction import Transaction


class SearchTests(PortalTestCase):
    def test_the_audit_is_searched_further_back(self):
        self.patch(audit, "MAX_SEARCHED", 5)
        browser = Browser(self)
        browser.sign_in(f"the-{Role.ADMIN}")
        self.store.write(Transaction.audit, AuditEvent("login.refused", user_name="needle"))
        for _ in range(12):
            self.store.write(Transaction.audit, AuditEvent("login.refused", user_name="hay"))
        page, looks = browser.get("/admin/audit?q=needle").body.decode(), 1
        while ">needle</dd>" not in page:
            self.assertNotIn("No event matches", page)
            further = re.search(r'rel="next" href="([^"]+)">Look further back', page)[1]
            page, looks = browser.get(html.unescape(further)).body.decode(), looks + 1
        self.assertGreater(looks, 2)

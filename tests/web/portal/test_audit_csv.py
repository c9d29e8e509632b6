"""The audit for spreadsheets."""

import csv
import io
import threading

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal.pages import audit_csv
from tunnelcloud.web.portal.pages.audit_csv import COLUMNS, _value


class CsvTests(PortalTestCase):
    def test_rows_and_no_formula(self):
        for login in ("=cmd|' /C calc'!A0", 'a "b", c'):
            data = {"login_name": login, "reason": login}
            self.store.write(
                Transaction.audit, AuditEvent("login.refused", source_ip="192.0.2.7", data=data)
            )
        browser = self.signed_in(Role.AUDITOR)
        answer = browser.get("/admin/audit/export?event=login.refused&format=csv")
        self.assertIn("audit.csv", answer.headers["content-disposition"])
        self.assertIn("text/csv", answer.headers["content-type"])
        head, *rows = csv.reader(io.StringIO(answer.body.decode()))
        self.assertEqual(head, list(COLUMNS))
        reasons = [row[head.index("reason")] for row in rows]
        self.assertEqual(reasons, ["'=cmd|' /C calc'!A0", 'a "b", c'])
        self.assertEqual({row[head.index("address")] for row in rows}, {"192.0.2.7"})

    def test_rows_are_made_away_from_the_reactor(self):
        """Those of a page of the export take tens of milliseconds."""
        self.store.write(Transaction.audit, AuditEvent("login.refused", source_ip="192.0.2.7"))
        threads = set()

        def value(document, place):
            threads.add(threading.get_ident())
            return _value(document, place)

        self.patch(audit_csv, "_value", value)
        self.signed_in(Role.AUDITOR).get("/admin/audit/export?event=login.refused&format=csv")
        self.assertTrue(threads)
        self.assertNotIn(threading.get_ident(), threads)

    def test_what_spreadsheets_take_for_a_formula(self):
        for text in (
            *("=1", "+1", "-1", "@a"),
            *(
                "\uff1d1",
                "\uff0b1",
                "\uff0d1",
                "\uff20a",
                "\ufe661",
                "\ufe621",
                "\ufe631",
                "\ufe6ba",
            ),
            *("\t1", "\r1", "\n1", "\n=1", " =1", "\u00a0=1", "\u3000=1", "\u200b=1", "\ufeff@a"),
        ):
            self.assertEqual(_value({"a": text}, "a"), f"'{text}", ascii(text))
        for text in ("", " ", "a=1", "1-1", "ann@example.com", "\u00e9", "'=1"):
            self.assertEqual(_value({"a": text}, "a"), text, ascii(text))

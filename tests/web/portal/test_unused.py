"""The page of what nobody has used for long."""

from datetime import UTC, datetime

from sqlalchemy import update

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import preferences, schema
from tunnelcloud.store.asynchronous import AsyncStore


class UnusedPageTests(PortalTestCase):
    def test_who_comes_by_the_portal_is_not_offered(self):
        self.store.write(
            lambda transaction: transaction.connection.execute(
                update(schema.users).values(created_at=datetime(2020, 1, 1, tzinfo=UTC))
            )
        )
        user = self.signed_in(Role.USER)
        user.send("/account", {}, "/sign-out")
        page = self.signed_in(Role.ADMIN).get("/admin/unused").body.decode()
        self.assertNotIn(self.people[Role.USER].id, page)
        self.assertIn(self.people[Role.AUDITOR].id, page)

    def test_it_says_for_how_long_there_is_history(self):
        browser = self.signed_in(Role.ADMIN)
        self.assertNotIn(b"Past sessions are kept", browser.get("/admin/unused").body)
        self.store.write(preferences.change_settings, {"session_retention_days": 30})
        page = browser.get("/admin/unused").body
        self.assertIn(b"Past sessions are kept for 30 days", page)
        self.assertIn(b"Not used for 90 days", page)

    def test_nobody_waits_for_it(self):
        """It reads a long history: apart from what pages read."""
        browser = self.signed_in(Role.ADMIN)
        read, long = [], AsyncStore.read_long

        def read_long(store, function, *args):
            read.append(function.__name__)
            return long(store, function, *args)

        self.patch(AsyncStore, "read_long", read_long)
        browser.get("/admin/unused")
        self.assertEqual(read, ["unused_for"])

"""Lists of the administration: sorted as one asks, and what they say of users."""

import re
from datetime import UTC, datetime

from sqlalchemy import update

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import groups, schema, sites
from tunnelcloud.web.portal.admin_kinds import SECTIONS


class ListTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)

    def test_columns_that_sort(self):
        for name in ("b", "c", "a"):
            self.store.write(sites.create, name=name)
        for sort, wanted in [("", "abc"), ("name", "abc"), ("-name", "cba"), ("created_at", "bca"),
                             ("-created_at", "acb"), ("<b>", "abc")]:  # fmt: skip
            page = self.browser.get(f"/admin/sites?sort={sort}").body.decode()
            found = re.findall(r'scope="row"><a href="[^"]+">(\w)</a>', page)
            self.assertEqual("".join(found), wanted, sort)
        self.assertIn('aria-sort="ascending"><a href="?q=&amp;sort=-name">', page)

    def test_every_order_that_a_list_offers(self):
        """A heading leads to each; the menu does, too, since cards on phones have no headings."""
        tunnel = self.make_tunnel("db")
        self.make_user("zoe")
        self.api("POST", "/groups", {"name": "dba"})
        self.api("POST", "/policies", {"name": "office"})
        self.api("POST", "/connectors", {"name": "paris-1", "site_id": tunnel["site_id"]})
        for section in SECTIONS:
            place = f"/admin/{section.plural}"
            page = self.browser.get(place).body.decode()
            menu = re.search(r'<select name="sort">(.*?)</select>', page)[1]
            offered = re.findall(r'value="([^"]*)"', menu)
            self.assertEqual(offered, ["", *section.orders[1:]])
            headings = set(re.findall(r"&amp;sort=-?(\w+)\">", page))
            # A list of many columns doesn't show when its objects were created.
            unshown = {"created_at"} - headings
            self.assertEqual(headings | unshown, {one.lstrip("-") for one in section.orders})
            for order in section.orders:
                page = self.browser.get(f"{place}?sort={order}").body.decode()
                sorts = re.findall(r'aria-sort="(\w+)"', page)
                wanted = "descending" if order.startswith("-") else "ascending"
                self.assertEqual(sorts, [] if order.lstrip("-") in unshown else [wanted], order)
        page = self.browser.get("/admin/users?sort=-last_seen").body.decode()
        found = re.findall(r'scope="row"><a href="[^"]+">([\w-]+)</a>', page)
        self.assertEqual(found[0], "the-admin", "who was here last")

    def row(self, name):
        page = self.browser.get("/admin/users").body.decode()
        row = rf"<tr id=[^>]+><th scope=.row.><a [^>]+>{name}<.*?</tr>"
        return re.search(row, page, re.DOTALL)[0]

    def test_of_users_what_may_be_forgotten(self):
        user = self.people[Role.USER]
        self.assertNotIn("Not seen for 90 days", self.row("the-user"), "they are new")
        self.create_long_ago()
        self.assertIn("Not seen for 90 days", self.row("the-user"))
        self.assertNotIn("Not seen for 90 days", self.row("the-admin"))
        self.signed_in(Role.USER)
        group = self.store.write(groups.create, name="dba")
        self.store.write(groups.add_member, group.id, user.id)
        row = self.row("the-user")
        self.assertNotIn("Not seen for 90 days", row)
        self.assertIn('class="number">1</td>', row)
        past = datetime(2020, 1, 1, tzinfo=UTC)
        self.store.write(
            lambda transaction: transaction.connection.execute(
                update(schema.web_sessions)
                .where(schema.web_sessions.c.user_id == user.id)
                .values(last_seen_at=past)
            )
        )
        self.assertNotIn("Not seen for 90 days", self.row("the-user"), "they signed in")
        self.store.write(
            lambda transaction: transaction.connection.execute(
                update(schema.users).values(last_seen_at=past)
            )
        )
        self.assertIn("Not seen for 90 days", self.row("the-user"))

    def create_long_ago(self):
        """Have all users been created long ago."""
        past = datetime(2020, 1, 1, tzinfo=UTC)
        self.store.write(
            lambda transaction: transaction.connection.execute(
                update(schema.users).values(created_at=past)
            )
        )

    def test_a_list_that_is_empty_has_one_thing_to_do(self):
        page = self.browser.get("/admin/groups").body.decode()
        self.assertEqual(page.count('href="/admin/groups/new"'), 1)
        self.assertNotIn('role="search"', page)
        page = self.browser.get("/admin/groups?q=dba").body.decode()
        self.assertIn('role="search"', page)
        self.assertIn("Nothing here matches", page)

"""Lists are narrowed by filters in their addresses, shown as chips that take one away each."""

import re
from datetime import timedelta

from sqlalchemy import update

from tests.store.material import BOTH
from tests.web.portal.browser import PortalTestCase
from tests.web.portal.structure import faults_of
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import assignments, groups, policies, preferences, schema, users
from tunnelcloud.web.portal.list_filters import FILTERS


class ListFilterTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.AUDITOR)
        self.db, self.web, self.off = (self.make_tunnel(name) for name in ("db", "web", "off"))
        self.api("PATCH", f"/tunnels/{self.off['id']}", {"enabled": False})
        self.dba = self.store.write(groups.create, name="dba")
        self.none = self.store.write(groups.create, name="none")
        self.office = self.store.write(policies.create, name="office")
        self.store.write(policies.create, name="spare")
        self.store.write(groups.add_member, self.dba.id, self.people[Role.USER].id)
        self.assign(self.db, BOTH, group_id=self.dba.id, policy_id=self.office.id)
        self.assign(self.web, frozenset([Method.KEY]), user_id=self.people[Role.USER].id)

    def assign(self, tunnel, methods, **whom):
        self.store.write(assignments.create, tunnel_id=tunnel["id"], methods=methods, **whom)

    def age(self, *tables):
        """Let all rows of tables be older than what is asked for."""
        for table in tables:
            self.store.write(
                lambda transaction, table=table: transaction.connection.execute(
                    update(table).values(created_at=transaction.now() - timedelta(days=200))
                )
            )

    def page(self, plural, query):
        return self.browser.get(f"/admin/{plural}?{query}").body.decode()

    def names(self, plural, query):
        return re.findall(r'scope="row"><a href="[^"]+">([\w-]+)</a>', self.page(plural, query))

    def test_what_each_finds(self):
        self.api("POST", "/connectors", {"name": "c-1", "site_id": self.db["site_id"]})
        self.api("POST", "/sites", {"name": "spare-site"})
        everybody = ["the-admin", "the-auditor", "the-user"]
        site = self.api("GET", f"/sites/{self.db['site_id']}")["name"]
        for plural, query, found in [
            ("tunnels", "enabled=false", ["off"]),
            ("tunnels", "enabled=true", ["db", "web"]),
            ("tunnels", f"site={site.upper()}", ["db", "off", "web"]),
            ("tunnels", "assigned=false", ["off"]),
            ("tunnels", "assigned=true&sort=-name", ["web", "db"]),
            ("tunnels", "group=dba", ["db"]),
            ("tunnels", "method=token", ["db"]),
            ("tunnels", "method=key", ["db", "web"]),
            ("tunnels", "method=key&q=we", ["web"]),
            ("tunnels", "unused=90", []),
            ("tunnels", "unused=<b>", ["db", "off", "web"]),
            ("users", "role=auditor", ["the-auditor"]),
            ("users", "blocked=true", []),
            ("users", "blocked=false&service=false", everybody),
            ("users", "group=dba", ["the-user"]),
            ("users", "second_factor=true", []),
            ("users", "second_factor=false", everybody),
            ("users", "unused=90", []),
            ("groups", "has_members=true", ["dba"]),
            ("groups", "has_members=false", ["none"]),
            ("groups", "assigned=true", ["dba"]),
            ("groups", "assigned=false", ["none"]),
            ("policies", "used=true", ["office"]),
            ("policies", "used=false", ["spare"]),
            ("sites", "has_connectors=true", [site]),
            ("sites", "has_connectors=false", ["spare-site"]),
            ("sites", "has_tunnels=true", [site]),
            ("sites", "has_tunnels=false&q=spare", ["spare-site"]),
            ("connectors", "joined=false", ["c-1"]),
            ("connectors", "joined=true", []),
            ("connectors", f"site={site}", ["c-1"]),
        ]:
            self.assertEqual(self.names(plural, query), found, (plural, query))

    def test_not_used_for_long(self):
        self.age(schema.tunnels, schema.users)
        self.assertEqual(self.names("tunnels", "unused=90"), ["db", "off", "web"])
        seen = self.names("users", "unused=90")
        self.assertNotIn("the-auditor", seen, "who is signed in here")
        self.assertIn("the-user", seen)
        # Where past sessions are kept for less long, that is as far as anybody can tell.
        self.age(schema.users)
        recent = self.store.write(users.create, name="recent")
        self.store.write(
            lambda transaction: transaction.connection.execute(
                update(schema.users)
                .where(schema.users.c.id == recent.id)
                .values(created_at=transaction.now() - timedelta(days=40))
            )
        )
        self.assertNotIn("recent", self.names("users", "unused=90"))
        self.store.write(preferences.change_settings, {"session_retention_days": 30})
        self.assertIn("recent", self.names("users", "unused=90"))

    def test_chips_and_what_is_kept(self):
        page = self.page("tunnels", "enabled=true&method=key&q=b&sort=-created_at")
        chips = re.findall(r'<a class="tag" href="([^"]+)">([^<]+) <', page)
        self.assertEqual(
            [(address.replace("&amp;", "&"), text) for address, text in chips],
            [
                ("/admin/tunnels?q=b&method=key&sort=-created_at", "State: on"),
                ("/admin/tunnels?q=b&enabled=true&sort=-created_at", "Method: SSH key"),
            ],
        )
        self.assertIn('href="?q=b&amp;enabled=true&amp;method=key&amp;sort=name"', page)
        self.assertIn('<option value="key" selected>', page)
        self.assertNotIn('class="chips"', self.page("tunnels", "q=b"))
        page = self.page("tunnels", "enabled=false&method=token")
        self.assertIn("Nothing here matches the filters.", page)

    def test_a_name_that_nobody_has(self):
        page = self.page("tunnels", "site=nowhere&q=db")
        self.assertIn("There is no site nowhere.", page)
        self.assertNotIn("/admin/tunnels/tun_", page)
        # The names there are stand beside the field.
        self.assertIn('<option value="dba"></option>', page)

    def test_each_filter_is_one_that_the_api_has(self):
        names = {"site": "site_id", "group": "group_id", "unused": "unused_since"}
        description = self.api("GET", "/openapi.json")
        for noun, filters in FILTERS.items():
            plural = "policies" if noun == "policy" else f"{noun}s"
            parameters = description["paths"][f"/{plural}"]["get"]["parameters"]
            for one in filters:
                wanted = names.get(one.name, one.name)
                self.assertIn(wanted, {given["name"] for given in parameters}, noun)


class FilterFaultTests(PortalTestCase):
    """What is wrong with a filter is said beside its field, and a folded field is unfolded."""

    def test_beside_the_field(self):
        self.make_tunnel("db")
        browser = self.signed_in(Role.AUDITOR)
        unknown = "There is no such event: use one such as login.refused, or login. for all events"
        for address, name, fault in [
            ("tunnels?site=nowhere", "site", "There is no site nowhere."),
            ("users?group=nobody", "group", "There is no group nobody."),
            ("sessions?tunnel=nothing", "tunnel", "There is no tunnel nothing."),
            (f"sessions?q={300 * 'x'}", "q", "Use 200 characters at most."),
            (f"audit?q={300 * 'x'}", "q", "Use 200 characters at most."),
            ("audit?since=soon", "since", "Use a day and a time, such as 2026-01-31T09:00."),
            ("audit?event=nothing", "event", unknown),
        ]:
            page = browser.get(f"/admin/{address}").body.decode()
            said = re.search(rf'id="filter-{name}-error" data-fault>([^<]*)<', page)[1]
            self.assertTrue(said.startswith(fault), f"{address}: {said}")
            before, field = re.search(
                rf'^(.*)(<input id="filter-{name}"[^>]*>)', page, re.DOTALL
            ).groups()
            self.assertIn('aria-invalid="true"', field, address)
            folds = re.findall(r"<(/?)details([^>]*)>", before)
            if folds and not folds[-1][0]:
                self.assertIn("open", folds[-1][1], address)
            self.assertIn("Nothing is shown: correct the filter", page)
            self.assertEqual(faults_of(page), [])

    def test_a_moment_of_the_question(self):
        page = self.signed_in(Role.AUDITOR).get("/admin/explain?user=x&tunnel=x&at=soon", 422)
        self.assertIn(b"use a day and a time, such as 2026-01-31T09:00", page.body)

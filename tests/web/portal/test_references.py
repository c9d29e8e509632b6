"""Forms in which the name of another object is typed: a site, a group or a policy."""

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import assignments, policies, sites, users

FIRST = 50
"""How many names a field suggests before somebody types."""


class ReferenceTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)

    def page(self, path):
        return self.browser.get(path).body.decode()

    def make_sites(self, *names):
        return [self.store.write(sites.create, name=name) for name in names]

    def refused(self, path, form, *texts, action=None):
        """Send a form; its page says these texts, and shows again what was typed."""
        answer = self.browser.send(path, form, action=action, status=422)
        page = answer.body.decode()
        for text in texts:
            self.assertIn(text, page)
        for name, value in form.items():
            self.assertIn(f'name="{name}"', page)
            if isinstance(value, str):
                self.assertIn(f'value="{value}"', page)

    def test_a_form_is_as_large_with_many_objects_as_with_a_few(self):
        self.make_sites(*(f"site-{n:03}" for n in range(FIRST)))
        few = len(self.page("/admin/tunnels/new"))
        self.make_sites(*(f"site-{n:03}" for n in range(FIRST, 5 * FIRST)))
        self.assertEqual(len(self.page("/admin/tunnels/new")), few)

    def test_names_are_found_while_somebody_types(self):
        self.make_sites(*(f"site-{n:03}" for n in range(2 * FIRST)))
        self.assertNotIn("site-077", self.page("/admin/connectors/new"))
        found = self.page("/admin/names?kinds=site&site_id=site-077")
        self.assertEqual(found.count("<option"), 1)
        self.assertIn("site-077", found)

    def test_the_name_of_a_site_is_enough(self):
        _, site = self.make_sites("lyon", "paris")
        self.browser.send("/admin/connectors/new", {"name": "one", "site_id": " paris "})
        (made,) = self.api("GET", "/connectors")["items"]
        self.assertEqual(made["site_id"], site.id)

    def test_the_only_site_is_there_already(self):
        self.make_sites("paris")
        self.assertIn('value="paris"', self.page("/admin/connectors/new"))
        self.make_sites("lyon")
        self.assertNotIn(' value="paris" list', self.page("/admin/connectors/new"))

    def test_an_address_that_names_a_site_by_its_id_shows_its_name(self):
        _, site = self.make_sites("lyon", "paris")
        page = self.page(f"/admin/tunnels/new?site_id={site.id}")
        self.assertIn(' value="paris" list', page)

    def test_a_name_that_is_none_is_refused_with_what_is_similar(self):
        new = "/admin/connectors/new"
        self.make_sites("paris", "lyon-1", "lyon-2", "lyon-3", "lyon-4")
        self.refused(new, {"name": "one", "site_id": "berlin"}, "there is no site berlin<")
        self.refused(
            new, {"name": "one", "site_id": "pari"}, "there is no site pari: did you mean paris?"
        )
        self.refused(
            new,
            {"name": "one", "site_id": "lyon"},
            "there is no site lyon, but several are similar: lyon-1, lyon-2, lyon-3 or another",
            'id="site_id-error"',
        )
        self.refused(new, {"name": "one", "site_id": ""}, "name a site")
        self.refused(
            new, {"name": "A b", "site_id": "berlin"}, "no site berlin<", 'id="name-error"'
        )
        self.assertEqual(self.api("GET", "/connectors")["items"], [])

    def test_a_policy_of_an_assignment(self):
        (site,) = self.make_sites("paris")
        office = self.store.write(policies.create, name="office")
        alice = self.store.write(users.create, name="alice")
        body = {
            "name": "db", "site_id": site.id, "target_address": "10.0.0.5", "target_ports": ["1"]
        }  # fmt: skip
        tunnel = self.api("POST", "/tunnels", body)
        path = f"/admin/tunnels/{tunnel['id']}"
        action = f"{path}/assignments"
        form = {"who": "alice", "methods": "key", "policy": "offic"}
        self.refused(f"{path}/access", form, "did you mean office?", action=action)
        self.browser.send(f"{path}/access", {**form, "policy": "office"}, action=action)
        (made,) = self.store.read(assignments.list_page, tunnel_id=tunnel["id"]).items
        self.assertEqual((made.user_id, made.policy_id), (alice.id, office.id))
        self.assertIn(' value="office" list', self.page(f"{path}/access"))
        change = f"{action}/{made.id}"
        again = {"methods": "key", "policy": "offices"}
        page = self.browser.send(f"{path}/access", again, action=change, status=422)
        said = f'aria-invalid="true" aria-describedby="policy-error-{made.id}" autofocus'
        self.assertIn(said, page.body.decode())
        self.assertIn(b"there is no policy offices", page.body)
        self.assertIn(b'value="offices"', page.body)
        self.browser.send(f"{path}/access", {**again, "policy": ""}, action=change)
        (made,) = self.store.read(assignments.list_page, tunnel_id=tunnel["id"]).items
        self.assertIsNone(made.policy_id)

    def test_rows_of_assignments_hide_nothing_and_nothing_hides_them(self):
        (site,) = self.make_sites("paris")
        self.store.write(users.create, name="alice")
        new = "/admin/tunnels/new"
        good = {"name": "db", "site_id": "paris", "target_address": "a", "target_ports": "1"}
        row = {"who_0": "alice", "methods_0": "key", "policy_0": ""}
        self.refused(
            new,
            {**good, "name": "A b", **row, "who_0": "alicia", "methods_0": [], "policy_0": "x"},
            'id="name-error"', 'id="who_0-error"', 'id="methods_0-error"', 'id="policy_0-error"',
        )  # fmt: skip
        self.refused(new, {**good, **row, "policy_0": "x"}, 'id="policy_0-error"')
        self.refused(new, {**good, **row, "methods_0": []}, 'id="methods_0-error"')
        self.refused(new, {**good, "policy_1": "x"}, 'id="who_1-error"', 'id="policy_1-error"')
        self.refused(
            new, {**good, **row, "who_2": "alice", "methods_2": "key"}, "is in a row above already"
        )
        self.assertEqual(self.api("GET", "/tunnels")["items"], [])
        self.browser.send(new, {**good, **row})
        (made,) = self.api("GET", "/tunnels")["items"]
        self.assertEqual(made["site_id"], site.id)

    def test_approvers_of_a_policy(self):
        group = self.api("POST", "/groups", {"name": "bosses"})["id"]
        new = "/admin/policies/new"
        self.refused(new, {"name": "asked", "approvers_id": "boss"}, "did you mean bosses?")
        self.browser.send(new, {"name": "asked", "approval": "others", "approvers_id": "bosses"})
        (made,) = self.api("GET", "/policies")["items"]
        self.assertEqual(made["approvers_id"], group)
        page = self.page(f"/admin/policies/{made['id']}/settings")
        self.assertIn("<dd>bosses</dd>", page)
        self.assertIn("--approvers bosses", page)
        preview = self.page(f"{new.removesuffix('new')}new/preview?typed=1&approvers_id=boss")
        self.assertIn("did you mean bosses?", preview)

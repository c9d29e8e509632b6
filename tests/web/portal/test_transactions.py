"""How many transactions a page takes: who visits, the object, and what stands beside it."""

import re
from collections.abc import Mapping

from tests.web.portal.browser import PortalTestCase
from tests.web.support import KEY
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.web.portal.tree import page_table

MOST = 3
MORE: Mapping[str, int] = {
    # The names of whom it is assigned to come after those.
    "/admin/tunnels/{tunnel_id}": 4,
    "/admin/tunnels/{tunnel_id}/access": 4,
    "/admin/tunnels/{tunnel_id}/activity": 4,
}


class TransactionTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        site = self.api("POST", "/sites", {"name": "paris"})
        policy = self.api("POST", "/policies", {"name": "office"})
        group = self.api("POST", "/groups", {"name": "dba"})
        user = self.people[Role.ADMIN].id
        tunnel = self.api("POST", "/tunnels", {
            "name": "db", "site_id": site["id"], "target_address": "10.0.0.5",
            "target_ports": ["5432"],
            "assignments": [
                {"user_id": user, "methods": ["key", "token"], "policy_id": policy["id"]},
                {"group_id": group["id"], "methods": ["key"]},
            ],
        })  # fmt: skip
        connector = self.api("POST", "/connectors", {"name": "paris-1", "site_id": site["id"]})
        key = self.api("POST", f"/users/{user}/keys", {"public_key": KEY})
        self.ids = {
            "site_id": site["id"],
            "policy_id": policy["id"],
            "group_id": group["id"],
            "user_id": user,
            "tunnel_id": tunnel["id"],
            "connector_id": connector["id"],
            "key_id": key["id"],
        }
        self.browser = self.signed_in(Role.ADMIN)
        self.begun = []
        for name in ("read_soon", "write_soon"):
            self.patch(type(self.store), name, self.counted(getattr(type(self.store), name)))

    def counted(self, function):
        def begin(store, work, *args, **kwargs):
            self.begun.append(work)
            return function(store, work, *args, **kwargs)

        return begin

    def test_every_page_takes_few(self):
        for page in page_table(self.context, self.table):
            path = re.sub(r"\{(\w+)\}", lambda found: self.ids.get(found[1], "x"), page.path)
            if page.method == "GET":
                self.browser.get_status(path)  # loads the parts of the API that it asks
                self.begun.clear()
                self.browser.get_status(path)
                self.assertLessEqual(len(self.begun), MORE.get(page.path, MOST), page.path)

    def test_a_page_after_a_redirect(self):
        moved = self.browser.send(f"/admin/users/{self.ids['user_id']}", {"title": "Alice"})
        self.begun.clear()
        self.browser.get(moved.headers["location"])
        self.assertEqual(len(self.begun), MOST - 1)

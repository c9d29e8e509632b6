"""The pages "Activity" of groups, policies, sites and connectors; what a tunnel's calls a group."""

import re

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role


class ActivityTabTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.paris = self.api("POST", "/sites", {"name": "paris"})
        self.group = self.api("POST", "/groups", {"name": "dba"})
        self.connector = self.api(
            "POST", "/connectors", {"name": "paris-1", "site_id": self.paris["id"]}
        )
        self.policy = self.api("POST", "/policies", {"name": "office"})
        self.tunnel = self.api("POST", "/tunnels", {
            "name": "db", "site_id": self.paris["id"], "target_address": "10.0.0.5",
            "target_ports": ["5432"],
            "assignments": [{"group_id": self.group["id"], "methods": ["key"],
                             "policy_id": self.policy["id"]}],
        })  # fmt: skip
        self.browser = self.signed_in(Role.AUDITOR)

    def told(self, path):
        body = self.browser.get(f"/admin{path}/activity").body.decode()
        self.assertIn('/activity" aria-current="page">Activity</a>', body)
        return re.findall(r"<li><span>([^<]+)</span>", body), body

    def test_sentences(self):
        joining = "created a join token for connector paris-1"
        for path, ends in (
            (f"/groups/{self.group['id']}", ["assigned db to group dba", "created group dba"]),
            (
                f"/policies/{self.policy['id']}",
                ["assigned db to group dba", "created policy office"],
            ),
            (f"/connectors/{self.connector['id']}", [joining, "created connector paris-1"]),
            (
                f"/sites/{self.paris['id']}",
                ["created tunnel db", joining, "created connector paris-1", "created site paris"],
            ),
            (f"/tunnels/{self.tunnel['id']}", ["assigned db to group dba", "created tunnel db"]),
        ):
            told, body = self.told(path)
            self.assertEqual(len(told), len(ends), told)
            for sentence, end in zip(told, ends, strict=True):
                self.assertTrue(sentence.endswith(end), sentence)
        self.assertIn("/admin/audit?", body)
        self.api("DELETE", f"/groups/{self.group['id']}")
        told, _ = self.told(f"/tunnels/{self.tunnel['id']}")
        self.assertTrue(told[0].endswith("assigned db to group dba"), "who is gone keeps the name")

"""What administrators make, read, change and delete through the API."""

import shlex

from tests.store.material import count_events
from tests.web.support import ApiTestCase
from tunnelcloud.domain.join_tokens import JoinRefused, parse_join_token
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import connectors
from tunnelcloud.web.interfaces import ConnectorHealth


class ObjectTests(ApiTestCase):
    def test_the_life_of_a_site(self):
        made = self.ask("POST", "/api/v1/sites", {"name": "paris", "title": "Café <b>"})
        self.assertEqual(made.status, 201)
        site = made.json
        self.assertLessEqual({"id", "name", "title", "created_at"}, set(site))
        path = f"/sites/{site['id']}"
        self.assertEqual(made.headers["location"], f"/api/v1{path}")
        self.assertRegex(site["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(self.api("GET", path), site)
        changed = self.api("PATCH", path, {"title": "Paris"})
        self.assertEqual(changed, {**site, "title": "Paris"})
        self.assertEqual(self.ask("DELETE", f"/api/v1{path}").status, 204)
        self.assertEqual(self.ask("GET", f"/api/v1{path}").status, 404)

    def test_a_name_finds_its_object(self):
        tunnel, user = self.make_tunnel("db"), self.make_user("alice", email="Alice@Example.com")
        self.make_tunnel("db-2")
        for path, found in [
            ("/tunnels?name=db", [tunnel]),
            ("/tunnels?name=DB", [tunnel]),
            ("/tunnels?name=d", []),
            ("/users?name=alice", [user]),
            ("/users?name=alice@example.com", [user]),
            ("/users?q=ALI", [user]),
            ("/connectors?name=paris-1", []),
            ("/policies?name=office", []),
            ("/groups?name=dba", []),
        ]:
            self.assertEqual(self.api("GET", path)["items"], found, path)

    def test_pages(self):
        for number in range(5):
            self.make_site(f"site-{number}")
        found, cursor = [], ""
        while cursor is not None:
            page = self.api("GET", f"/sites?limit=2&sort=-name{cursor and '&cursor=' + cursor}")
            self.assertLessEqual(len(page["items"]), 2)
            found += [item["name"] for item in page["items"]]
            cursor = page["next_cursor"]
        self.assertEqual(found, [f"site-{number}" for number in (4, 3, 2, 1, 0)])

    def test_a_tunnel_in_canonical_form(self):
        tunnel = self.make_tunnel(
            target_address="DB.Internal.",
            target_ports=["8000-8010", 5432, "8005-8020"],
            external_address="DB.Example.com",
        )
        self.assertEqual(tunnel["target_address"], "db.internal")
        self.assertEqual(tunnel["target_ports"], ["5432", "8000-8020"])
        self.assertEqual(tunnel["external_address"], "db.example.com")
        self.assertIs(tunnel["enabled"], True)
        path = f"/tunnels/{tunnel['id']}"
        changed = self.api("PATCH", path, {"external_address": None, "enabled": False})
        wanted = {
            **tunnel,
            "external_address": None,
            "enabled": False,
            "warnings": [],
            "standing": "shut",
            "state": "Disabled; an administrator can enable it",
        }
        self.assertEqual(changed, wanted)

    def test_a_policy(self):
        policy = self.api(
            "POST",
            "/policies",
            {
                "name": "office",
                "source_networks": ["10.0.0.0/8", "2001:DB8::/32"],
                "windows": ["mon-fri 09:00-18:00 Europe/Paris"],
                "valid_from": "2026-01-01T00:00:00+01:00",
                "valid_until": None,
                "max_session_seconds": 28800,
                "max_token_sessions": 4,
            },
        )
        self.assertEqual(policy["source_networks"], ["10.0.0.0/8", "2001:db8::/32"])
        self.assertEqual(policy["windows"], ["Mon-Fri 09:00-18:00 Europe/Paris"])
        self.assertEqual(policy["valid_from"], "2025-12-31T23:00:00.000Z")
        self.assertIsNone(policy["idle_seconds"])
        path = f"/policies/{policy['id']}"
        answer = self.ask("PATCH", f"/api/v1{path}", {"valid_until": "2025-01-01T00:00:00Z"})
        self.assertEqual((answer.status, answer.faults), (409, ["valid_until"]))
        self.assertEqual(self.api("GET", path), policy)
        self.assertEqual(self.api("PATCH", path, {"windows": []})["windows"], [])

    def test_an_external_address_that_leads_nowhere(self):
        """It is kept, since DNS may follow; the answer says so, and only that one."""
        self.live.warning = "doesn't resolve"
        tunnel = self.api(
            "POST",
            "/tunnels",
            {
                "name": "db",
                "site_id": self.make_site()["id"],
                "target_address": "10.0.0.5",
                "target_ports": [5432],
                "external_address": "db.example.com",
            },
        )
        self.assertEqual(tunnel.pop("warnings"), ["db.example.com doesn't resolve"])
        path = f"/tunnels/{tunnel['id']}"
        self.assertEqual(self.api("GET", path), tunnel)
        self.assertEqual(self.api("PATCH", path, {"title": "x"})["warnings"], [])
        changed = self.api("PATCH", path, {"external_address": "web.example.com"})
        self.assertEqual(changed["warnings"], ["web.example.com doesn't resolve"])
        self.assertEqual(self.api("PATCH", path, {"external_address": None})["warnings"], [])

    def test_host_names_beyond_ascii_are_kept_as_dns_has_them(self):
        body = {
            "name": "db",
            "site_id": self.make_site()["id"],
            "target_address": "Bücher.example",
            "target_ports": [80],
            "external_address": "straße.example",
        }
        tunnel = self.api("POST", "/tunnels", body)
        addresses = (tunnel["target_address"], tunnel["external_address"])
        self.assertEqual(addresses, ("xn--bcher-kva.example", "xn--strae-oqa.example"))
        document = {
            "tunnels": {
                "db": {"site": "paris", "target_address": "bücher.example", "target_ports": ["80"],
                       "external_address": "straße.example."}
            }
        }  # fmt: skip
        self.assertEqual(self.api("POST", "/apply", document)["steps"], [])
        answer = self.ask("POST", "/api/v1/tunnels", {**body, "target_address": "😀.example"})
        self.assertEqual((answer.status, answer.faults), (422, ["target_address"]))

    def test_a_target_that_connectors_refuse(self):
        site = self.make_site()
        body = {"name": "db", "site_id": site["id"], "target_address": "127.0.0.1"}
        tunnel = self.api("POST", "/tunnels", {**body, "target_ports": [5432]})
        (warning,) = tunnel["warnings"]
        self.assertIn("127.0.0.1 is a loopback address, which connectors refuse", warning)
        path = f"/tunnels/{tunnel['id']}"
        self.assertEqual(self.api("PATCH", path, {"title": "x"})["warnings"], [])
        for target, said in [
            ("::1", "loopback"),
            ("localhost", "loopback"),
            ("169.254.169.254", "link-local"),
            ("10.0.0.5", ""),
            ("db.internal", ""),
        ]:
            found = self.api("PATCH", path, {"target_address": target})["warnings"]
            self.assertEqual([said in one for one in found], [True] if said else [], target)

    def test_groups_and_their_members(self):
        group = self.api("POST", "/groups", {"name": "dba"})
        user = self.make_user()
        member = f"/groups/{group['id']}/members/{user['id']}"
        for _ in range(2):
            self.assertEqual(self.ask("PUT", f"/api/v1{member}").status, 204)
        self.assertEqual(self.api("GET", f"/groups/{group['id']}/members")["items"], [user])
        self.assertEqual(self.api("GET", f"/users?group_id={group['id']}")["items"], [user])
        self.assertEqual(self.api("GET", f"/groups?user_id={user['id']}")["items"], [group])
        self.api("DELETE", member)
        self.api("DELETE", member, expect=404)
        self.assertEqual(self.api("GET", f"/groups/{group['id']}/members")["items"], [])

    def test_assignments(self):
        tunnel, other, user = self.make_tunnel("db"), self.make_tunnel("web"), self.make_user()
        made = self.assign(tunnel, user, ["token"])
        self.assertEqual(made["methods"], ["token"])
        self.assertEqual((made["group_id"], made["policy_id"]), (None, None))
        below = f"/tunnels/{tunnel['id']}/assignments"
        listed = self.api("GET", f"{below}?user_id={user['id']}")["items"]
        self.assertEqual(listed, [made])
        again = {"user_id": user["id"], "methods": ["key"]}
        self.assertEqual(self.ask("POST", f"/api/v1{below}", again).faults, ["user_id"])
        changed = self.api("PATCH", f"{below}/{made['id']}", {"methods": ["key", "token"]})
        self.assertEqual(sorted(changed["methods"]), ["key", "token"])
        for method in ("GET", "DELETE"):
            self.api(method, f"/tunnels/{other['id']}/assignments/{made['id']}", expect=404)
        self.api("DELETE", f"{below}/{made['id']}")
        self.assertEqual(self.api("GET", below)["items"], [])

    def test_a_tunnel_with_its_assignments(self):
        site, user = self.make_site(), self.make_user()
        group = self.api("POST", "/groups", {"name": "dba"})
        body = {
            "name": "db",
            "site_id": site["id"],
            "target_address": "10.0.0.5",
            "target_ports": ["5432"],
        }
        good = {"user_id": user["id"], "methods": ["token"]}
        before = self.store.read(count_events)
        missing = {"usr": "usr_" + "0" * 26, "pol": "pol_" + "0" * 26}
        for given, faults in [
            ([good, {"group_id": missing["usr"], "methods": ["key"]}], ["assignments.1.group_id"]),
            ([{**good, "policy_id": missing["pol"]}], ["assignments.0.policy_id"]),
            ([{**good, "methods": []}], ["assignments.0.methods"]),
            ([good, {**good, "methods": ["key"]}], ["assignments"]),
            ([{"methods": ["key"]}], ["assignments.0"]),
            (None, ["assignments"]),
        ]:
            answer = self.ask("POST", "/api/v1/tunnels", {**body, "assignments": given})
            self.assertEqual(answer.faults, faults)
        self.assertEqual(self.api("GET", "/tunnels")["items"], [])
        self.assertEqual(self.store.read(count_events), before)
        given = [good, {"group_id": group["id"], "methods": ["key"]}]
        made = self.api("POST", "/tunnels", {**body, "assignments": given})
        self.assertNotIn("assignments", made)
        listed = self.api("GET", f"/tunnels/{made['id']}/assignments")["items"]
        self.assertEqual(
            [(one["user_id"], one["group_id"], one["methods"]) for one in listed],
            [(user["id"], None, ["token"]), (None, group["id"], ["key"])],
        )

    def test_a_policy_in_use_stays(self):
        tunnel, user = self.make_tunnel(), self.make_user()
        policy = self.api("POST", "/policies", {"name": "office"})
        self.assign(tunnel, user, policy_id=policy["id"])
        answer = self.ask("DELETE", f"/api/v1/policies/{policy['id']}")
        self.assertEqual(answer.status, 409)
        self.assertIn("db", answer.json["detail"])

    def test_every_change_is_audited_with_who_did_it(self):
        site = self.make_site()
        self.api("PATCH", f"/sites/{site['id']}", {"title": "Paris"})
        self.api("DELETE", f"/sites/{site['id']}")
        events = self.api("GET", "/audit?order=oldest&event=site.")["items"]
        self.assertEqual(
            [event["event"] for event in events], ["site.created", "site.changed", "site.deleted"]
        )
        self.assertEqual({event["actor"] for event in events}, {"the-admin"})
        self.assertEqual({event["actor_id"] for event in events}, {self.people[Role.ADMIN].id})
        self.assertEqual(events[1]["data"]["changes"], {"title": {"from": "", "to": "Paris"}})


class VersionTests(ApiTestCase):
    def test_a_stale_change_changes_nothing(self):
        first = self.ask("POST", "/api/v1/sites", {"name": "paris"})
        path = f"/api/v1/sites/{first.json['id']}"
        match = {"If-Match": first.headers["etag"]}
        second = self.ask("PATCH", path, {"title": "one"}, headers=match)
        self.assertEqual(second.status, 200)
        self.assertNotEqual(second.headers["etag"], first.headers["etag"])
        for method, body in [("PATCH", {"title": "two"}), ("DELETE", None)]:
            self.assertEqual(self.ask(method, path, body, headers=match).status, 412)
        shown = self.ask("GET", path)
        self.assertEqual(shown.json["title"], "one")
        self.assertEqual(shown.headers["etag"], second.headers["etag"])
        one_of = {"If-Match": f'"x", {second.headers["etag"]}'}
        self.assertEqual(self.ask("PATCH", path, {"title": "3"}, headers=one_of).status, 200)
        self.assertEqual(self.ask("DELETE", path, headers={"If-Match": "*"}).status, 204)

    def test_what_is_known_is_not_sent_again(self):
        made = self.ask("POST", "/api/v1/sites", {"name": "paris"})
        path = f"/api/v1/sites/{made.json['id']}"
        answer = self.ask("GET", path, headers={"If-None-Match": made.headers["etag"]})
        self.assertEqual((answer.status, answer.body), (304, b""))

    def test_a_head_is_a_get_without_its_body(self):
        self.make_site()
        answer = self.ask("HEAD", "/api/v1/sites?limit=1")
        # Its body would be as long as a GET's; the answer's reader must not wait for it.
        self.assertEqual((answer.status, answer.body), (200, b""))


class ConnectorTests(ApiTestCase):
    def make_connector(self):
        site = self.make_site()
        return self.api("POST", "/connectors", {"name": "paris-1", "site_id": site["id"]})

    def test_a_new_connector_comes_with_its_join_token(self):
        made = self.make_connector()
        token = parse_join_token(made["join"]["token"])
        self.assertEqual(str(token.address), "pod.example.com:8443")
        # On a command line other users of the machine could read the token.
        command = shlex.split(made["join"]["command"])
        self.assertEqual(command[-2:], ["--join-file", "paris-1.token"])
        self.assertEqual(made["status"], "new")
        redeemed = self.store.write(
            connectors.redeem_join_token, token.secret_hash, key_fingerprint="x"
        )
        self.assertEqual(redeemed.id, made["id"])
        shown = self.api("GET", f"/connectors/{made['id']}")
        self.assertNotIn("join", shown)
        self.assertEqual(shown["status"], "detached")

    def test_another_join_token_ends_the_first(self):
        made = self.make_connector()
        again = self.api("POST", f"/connectors/{made['id']}/join-token")
        first, second = (parse_join_token(one["token"]) for one in (made["join"], again))
        self.assertRaises(
            JoinRefused,
            self.store.write,
            connectors.redeem_join_token,
            first.secret_hash,
            key_fingerprint="x",
        )
        redeem = connectors.redeem_join_token
        self.store.write(redeem, second.secret_hash, key_fingerprint="x")

    def test_an_attached_connector(self):
        made = self.make_connector()
        self.live.health[made["id"]] = ConnectorHealth(12.5, 3, "1.2.3")
        shown = self.api("GET", f"/connectors/{made['id']}")
        self.assertEqual(
            (shown["status"], shown["version"], shown["round_trip_ms"], shown["load"]),
            ("attached", "1.2.3", 12.5, 3),
        )

"""What strangers and the careless send: the right status, the right field, nothing changed."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web.support import ApiTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.web.sizes import MAX_BODY

NOBODY = "0" * 26
TUNNEL = {"name": "db", "target_address": "10.0.0.5", "target_ports": ["5432"]}


class BodyTests(ApiTestCase):
    def refused(self, status, path, body, **kwargs):
        answer = self.ask("POST", f"/api/v1{path}", body, **kwargs)
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertEqual(answer.json["status"], status)
        return answer

    def test_what_is_no_json(self):
        for body in [b"", b"{", b"\xff", b'{"name": "a", "name": "b"}', b"[" * 100_000, b"NaN"]:
            self.refused(400, "/sites", body)
        self.assertEqual(self.api("GET", "/sites")["items"], [])

    def test_what_is_no_object(self):
        for body in [b"[]", b"1", b'"x"', b"null"]:
            self.refused(422, "/sites", body)

    def test_a_body_that_is_too_big(self):
        padded = b'{"name": "x", "title": "' + b"a" * MAX_BODY + b'"}'
        self.refused(413, "/sites", padded)

    def test_a_body_of_another_type(self):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.refused(415, "/sites", b"name=x", headers=headers)

    def test_every_fault_at_once_with_its_field(self):
        body = {"name": "No Spaces", "target_address": 5, "target_ports": ["5432", "70000", "9-1"],
                "enabled": "yes", "colour": "red"}  # fmt: skip
        answer = self.refused(422, "/tunnels", body)
        self.assertEqual(
            sorted(answer.faults),
            ["colour", "enabled", "name", "site_id", "target_address", "target_ports.1",
             "target_ports.2"],
        )  # fmt: skip
        messages = {error["field"]: error["message"] for error in answer.json["errors"]}
        self.assertEqual(messages["target_ports.1"], "port 70000 is out of range: use 1 to 65535")
        self.assertEqual(messages["target_ports.2"], "9-1 is upside down: write 1-9")
        self.assertEqual(messages["colour"], "there is no such field")
        self.assertEqual(messages["site_id"], "is required")

    def test_fields_beyond_their_limits(self):
        site = self.make_site()["id"]
        for fields, fault in [
            ({"name": ""}, "name"),
            ({"name": "a" * 64}, "name"),
            ({"name": "UPPER"}, "name"),
            ({"title": "a" * 201}, "title"),
            ({"title": "a\x00b"}, "title"),
            ({"title": None}, "title"),
            ({"target_ports": []}, "target_ports"),
            ({"target_ports": [0]}, "target_ports.0"),
            ({"target_ports": [True]}, "target_ports.0"),
            ({"target_ports": "5432"}, "target_ports"),
            ({"target_address": "a b"}, "target_address"),
            ({"target_address": "0x7f.1"}, "target_address"),
            ({"target_address": "fe80::1%eth0"}, "target_address"),
            ({"external_address": "10.0.0.1"}, "external_address"),
            ({"local_port_offset": 65535}, "local_port_offset"),
            ({"local_port_offset": 1.5}, "local_port_offset"),
            ({"target_check": "udp"}, "target_check"),
            ({"target_check": None}, "target_check"),
            ({"site_id": "a\x00"}, "site_id"),
            ({"id": "tun_" + NOBODY}, "id"),
        ]:
            answer = self.refused(422, "/tunnels", {"site_id": site, **TUNNEL, **fields})
            self.assertEqual(answer.faults, [fault], fields)
        nobodys = {"site_id": "sit_" + NOBODY, **TUNNEL}
        self.assertEqual(self.refused(409, "/tunnels", nobodys).faults, ["site_id"])
        self.assertEqual(self.api("GET", "/tunnels")["items"], [])

    def test_policies_that_make_no_sense(self):
        for fields, fault in [
            ({"source_networks": ["10.0.0.1/8"]}, "source_networks.0"),
            ({"windows": ["Mon-Fri 9-5"]}, "windows.0"),
            ({"windows": [5]}, "windows.0"),
            ({"valid_from": "2026-01-01T00:00:00"}, "valid_from"),
            ({"valid_from": 5}, "valid_from"),
            ({"max_channels": 0}, "max_channels"),
            ({"max_token_sessions": 9}, "max_token_sessions"),
        ]:
            answer = self.refused(422, "/policies", {"name": "p", **fields})
            self.assertEqual(answer.faults, [fault], fields)
        times = {"valid_from": "2026-01-02T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"}
        answer = self.refused(409, "/policies", {"name": "p", **times})
        self.assertEqual(answer.faults, ["valid_until"])

    def test_users_and_keys(self):
        for fields, fault in [
            ({"name": "tcptunnel"}, "name"),
            ({"name": "a b"}, "name"),
            ({"email": "alice"}, "email"),
            ({"role": "root"}, "role"),
        ]:
            answer = self.refused(422, "/users", {"name": "alice", **fields})
            self.assertEqual(answer.faults, [fault], fields)
        user = self.make_user()["id"]
        for text in [
            "",
            "x",
            "ssh-ed25519 AAAA",
            "ssh-rsa !!!",
            "-----BEGIN OPENSSH PRIVATE KEY--",
        ]:
            answer = self.refused(422, f"/users/{user}/keys", {"public_key": text})
            self.assertEqual(answer.faults, ["public_key"])

    def test_names_that_are_taken(self):
        self.make_user("alice", email="bob@example.com")
        self.make_tunnel("db", external_address="db.example.com")
        site = self.api("GET", "/sites")["items"][0]["id"]
        for path, body, fault in [
            ("/sites", {"name": "paris"}, "name"),
            ("/users", {"name": "Alice"}, "name"),
            ("/users", {"name": "carol", "email": "BOB@example.com"}, "email"),
            ("/tunnels", {**TUNNEL, "site_id": site}, "name"),
            (
                "/tunnels",
                {**TUNNEL, "site_id": site, "name": "x", "external_address": "db.example.com"},
                "external_address",
            ),
        ]:
            self.assertEqual(self.refused(409, path, body).faults, [fault])

    def test_text_of_any_kind_is_kept_as_it_is(self):
        title = "<script>\x1b[31m\u202e\U0001f600"
        site = self.api("POST", "/sites", {"name": "x", "title": title})
        self.assertEqual(self.api("GET", f"/sites/{site['id']}")["title"], title)

    def test_half_a_character(self):
        self.refused(400, "/sites", b'{"name": "x", "title": "\\ud800"}')

    def test_an_assignment_to_two_or_none(self):
        path = f"/tunnels/{self.make_tunnel()['id']}/assignments"
        for body in [
            {"methods": ["key"]},
            {"methods": ["key"], "user_id": "usr_" + NOBODY, "group_id": "grp_" + NOBODY},
            {"methods": [], "user_id": "usr_" + NOBODY},
            {"methods": ["password"], "user_id": "usr_" + NOBODY},
        ]:
            self.refused(422, path, body)

    @settings(deadline=None, max_examples=60)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["name", "title", "target_ports", "site_id"]) | st.text(), inner
                )
            ),
            max_leaves=8,
        )
    )
    def test_any_json_is_refused_or_kept(self, body):
        answer = self.ask("POST", "/api/v1/tunnels", json.dumps(body).encode())
        self.assertIn(answer.status, (400, 422), answer.body)


class RequestTests(ApiTestCase):
    def test_queries(self):
        for query, fault in [
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=x", "limit"),
            ("colour=red", "colour"),
            ("sort=title", "sort"),
            ("cursor=%00", "cursor"),
            ("name=a&name=b", "name"),
            ("q=%00", "q"),
        ]:
            answer = self.ask("GET", f"/api/v1/sites?{query}")
            self.assertEqual((answer.status, answer.faults), (422, [fault]), query)
        answer = self.ask("GET", "/api/v1/sites?cursor=nonsense")
        self.assertEqual((answer.status, answer.faults), (404, ["cursor"]))
        for moment in ["5", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z"]:
            answer = self.ask("GET", f"/api/v1/audit?since={moment}")
            self.assertEqual((answer.status, answer.faults), (422, ["since"]), moment)
        for moment in ["0315-01-01T00:00:00Z", "0001-01-01T00:00:00%2B23:00",
                       "9999-12-31T23:59:59-23:00", "2016-12-31T23:59:60Z"]:  # fmt: skip
            self.assertEqual(self.ask("GET", f"/api/v1/audit?since={moment}").status, 200, moment)
        self.assertEqual(self.ask("GET", "/api/v1/sites?name=%ff").status, 400)
        self.assertEqual(self.ask("GET", "/api/v1/openapi.json?x=1").status, 422)

    def test_addresses(self):
        site = self.make_site()["id"]
        for path in [
            "/sites/x",
            f"/sites/tun_{NOBODY}",
            f"/sites/sit_{NOBODY}",
            f"/tunnels/{site}",
            f"/sites/{site}/x",
            "/sites/%00",
            "/sites/%ff",
            "/" + "/".join("a" * 20),
            "",
        ]:
            self.assertEqual(self.ask("GET", f"/api/v1{path}").status, 404, path)
        self.assertEqual(self.ask("GET", f"/api/v1/sites/{site}/").status, 200)

    def test_methods(self):
        answer = self.ask("PUT", "/api/v1/sites", {})
        self.assertEqual(answer.status, 405)
        self.assertEqual(answer.headers["allow"], "GET, HEAD, POST")
        self.assertEqual(self.ask("BREW", "/api/v1/sites").status, 405)

    def test_a_body_where_there_is_none(self):
        self.assertEqual(self.ask("GET", "/api/v1/sites", b"{}").status, 400)

    def test_nothing_of_a_request_comes_back_as_markup(self):
        answer = self.ask("GET", "/api/v1/<script>alert(1)</script>")
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertNotIn(b"script", answer.body)

    def test_an_api_without_its_store(self):
        self.store.close()
        answer = self.ask("GET", "/api/v1/sites", role=Role.ADMIN)
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers["retry-after"], "5")

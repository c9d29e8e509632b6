import json
import re

from tests.web.support import ApiTestCase


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


class OpenApiTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.document = self.ask("GET", "/api/v1/openapi.json", role=None).json

    def test_what_it_is(self):
        self.assertEqual(self.document["openapi"], "3.1.0")
        self.assertEqual(self.document["info"]["version"], "1.2.3")

    def test_it_is_kept_by_its_tag(self):
        first = self.ask("GET", "/api/v1/openapi.json", role=None)
        headers = {"If-None-Match": first.headers["etag"]}
        again = self.ask("GET", "/api/v1/openapi.json", role=None, headers=headers)
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertEqual(first.headers["cache-control"], "no-cache")

    def test_every_route_is_described(self):
        described = {
            (method.upper(), path)
            for path, item in self.document["paths"].items()
            for method in item
        }
        self.assertEqual(described, {(route.method, route.path) for route in self.table.routes})

    def test_every_reference_leads_somewhere(self):
        found = set(references(self.document))
        self.assertTrue(found)
        for reference in found:
            node = self.document
            for part in reference.removeprefix("#/").split("/"):
                node = node[part]

    def test_parameters_of_the_path_are_described(self):
        for path, item in self.document["paths"].items():
            for operation in item.values():
                described = [
                    one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"
                ]
                self.assertEqual(described, re.findall(r"\{(\w+)\}", path))

    def test_the_fields_of_the_contract(self):
        """The words of product.md's "Admin API", to the letter."""
        fields = {
            "Tunnel": "site_id target_address target_ports local_port_offset external_address "
            "enabled icon description id name title created_at",
            "Assignment": "tunnel_id user_id group_id methods policy_id",
            "Key": "public_key fingerprint expires_at last_used_at",
            "Policy": "source_networks windows valid_from valid_until max_session_seconds "
            "idle_seconds max_channels max_sessions max_token_sessions",
            "Connector": "site_id status version last_seen_at certificate_expires_at",
            "Session": "user_id method login_name source_ip client_version pod_id started_at "
            "ended_at end_reason bytes_to_target bytes_from_target",
            "Channel": "session_id tunnel_id connector_id destination port opened_at closed_at "
            "close_reason bytes_to_target bytes_from_target",
            "Explanation": "allowed reason rules",
            "RuleShown": "rule passed text",
            "TokenMade": "id token expires_at command",
            "JoinTokenShown": "token expires_at command",
        }
        schemas = self.document["components"]["schemas"]
        for name, wanted in fields.items():
            self.assertEqual(set(wanted.split()) - set(schemas[name]["properties"]), set(), name)

    def test_answers_are_what_is_described(self):
        """Each kind of answer has exactly the properties that its schema says."""
        schemas = self.document["components"]["schemas"]
        tunnel, user = self.make_tunnel(), self.make_user()
        for name, shown in [
            ("Tunnel", tunnel),
            ("User", user),
            ("Assignment", self.assign(tunnel, user)),
            ("Policy", self.api("POST", "/policies", {"name": "p"})),
            ("Event", self.api("GET", "/audit")["items"][0]),
            ("TokenMade", self.api("POST", "/tokens", {"user_id": user["id"]})),
        ]:
            self.assertEqual(set(schemas[name]["properties"]), set(shown), name)
            self.assertEqual(set(schemas[name]["required"]), set(shown), name)

    def test_it_is_json_without_surprises(self):
        self.assertNotIn("NaN", json.dumps(self.document))


class ReferenceTests(ApiTestCase):
    """The document as a page."""

    def test_every_operation_stands_on_the_page(self):
        page = self.ask("GET", "/api/docs", role=None)
        self.assertEqual(page.status, 200)
        text = page.body.decode()
        for route in self.table.routes:
            self.assertIn(f"<code>{route.method} {route.path}</code>", text)
        self.assertNotRegex(text, r"(src|href)=.?https?://")

    def test_each_leads_to_its_fields(self):
        index = self.ask("GET", "/api/docs", role=None).body.decode()
        places = {}
        for page, operation in re.findall(r'href="(/api/docs/[^"#]+)#([^"]+)"', index):
            places.setdefault(page, []).append(operation)
        self.assertEqual(sum(map(len, places.values())), len(self.table.routes))
        for page, operations in places.items():
            text = self.ask("GET", page, role=None).body.decode()
            self.assertEqual(re.findall(r'<section id="([^"]+)"', text), operations)
            if page == "/api/docs/tunnels":
                self.assertIn(">list of port-range or integer from 1 to 65535</td>", text)
        self.assertEqual(self.ask("GET", "/api/docs/nothing", role=None).status, 404)

    def test_the_place_above_leads_there(self):
        answer = self.ask("GET", "/api", role=None)
        self.assertEqual((answer.status, answer.headers["location"]), (303, "/api/docs"))
        self.assertIn(b"TunnelCloud</title>", self.ask("DELETE", "/api", role=None).body)
        self.assertEqual(self.ask("GET", "/api/v2/sites", role=None).status, 404)

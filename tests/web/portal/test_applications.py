"""What a person may open, and the panel that says how."""

import html
import re

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.entities import Role
from tunnelcloud.store import connectors, tokens
from tunnelcloud.web.interfaces import ConnectorHealth

CANARY = '<img src=x onerror="alert(1)">'


class ApplicationsTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.tunnel = self.make_tunnel(
            "db", title=CANARY, description=CANARY, icon=CANARY, target_ports=["5432", "8000-8002"]
        )
        self.assign(self.tunnel)
        self.browser = self.signed_in(Role.USER)
        self.panel = f"/applications/{self.tunnel['id']}"

    def assign(self, tunnel, **fields):
        user = self.people[Role.USER]
        body = {"user_id": user.id, "methods": ["token", "key"], **fields}
        self.api("POST", f"/tunnels/{tunnel['id']}/assignments", body)

    def command(self, path):
        page = self.browser.get(path).body.decode()
        return html.unescape(re.search(r'<pre id="command">(.*?)</pre>', page, re.DOTALL)[1])

    def test_a_card_for_each_of_ones_own(self):
        other = self.make_tunnel("other")
        page = self.browser.get("/").body
        self.assertIn(self.panel.encode(), page)
        self.assertNotIn(other["id"].encode(), page)
        self.browser.get(f"/applications/{other['id']}", 404)

    def test_names_show_as_text(self):
        for path in ["/", self.panel]:
            page = self.browser.get(path).body.decode()
            self.assertNotIn("<img src=x", page)
            self.assertIn(html.escape(CANARY, quote=False).split('"')[0], page)

    def test_search(self):
        self.assertIn(self.panel.encode(), self.browser.get("/?q=DB").body)
        answer = self.browser.get("/?q=%3Cb%3E")
        self.assertNotIn(self.panel.encode(), answer.body)
        self.assertIn("“&lt;b&gt;”".encode(), answer.body)

    def test_a_site_without_a_connector_is_said_to_be_offline(self):
        made = self.api(
            "POST", "/connectors", {"name": "paris-1", "site_id": self.tunnel["site_id"]}
        )
        for path in ["/", self.panel]:
            self.assertIn(b"no connector is attached in site paris", self.browser.get(path).body)
        self.live.health = {made["id"]: ConnectorHealth(1.0, 0, "1")}
        self.assertIn("● Ready".encode(), self.browser.get("/").body)
        self.assertNotIn(b"doesn't open now", self.browser.get(self.panel).body)
        self.live.health = {}
        self.store.write(connectors.record_seen, {made["id"]: "1"})
        self.assertIn("● Ready".encode(), self.browser.get("/").body)

    def test_why_one_does_not_open(self):
        policy = self.api(
            "POST", "/policies", {"name": "once", "valid_until": "2020-01-01T00:00:00Z"}
        )
        tunnel = self.make_tunnel("late")
        self.assign(tunnel, policy_id=policy["id"])
        self.assertIn("✕".encode(), self.browser.get("/").body)
        self.assertIn(b"doesn't open now", self.browser.get(f"/applications/{tunnel['id']}").body)

    def test_the_command(self):
        self.assertEqual(
            self.command(self.panel),
            "ssh -N -o ExitOnForwardFailure=yes -o ServerAliveInterval=30 "
            "-o PubkeyAuthentication=no -L 127.0.0.1:5432:10.0.0.5:5432 "
            "-L 127.0.0.1:8000:10.0.0.5:8000 -L 127.0.0.1:8001:10.0.0.5:8001 "
            "-L 127.0.0.1:8002:10.0.0.5:8002 -p 2222 the-user@pod.example.com",
        )

    def test_the_edited_command(self):
        command = self.command(f"{self.panel}?method=key&local=::1&port_5432=8000&port_8000=5432")
        self.assertIn("'[::1]:8000:10.0.0.5:5432' -L '[::1]:5432:10.0.0.5:8000'", command)
        self.assertNotIn("PubkeyAuthentication", command)

    def test_what_cannot_be_edited_so(self):
        for query, text in [
            ("local=$(reboot)", b'id="local-error"'),
            ("port_5432=0", b"use a port from 1 to 65535"),
            ("port_5432=99999", b"use a port from 1 to 65535"),
            ("port_5432=8%20%3Breboot", b"use a port from 1 to 65535"),
            ("port_8000=5432", b"5432 is taken above"),
        ]:
            page = self.browser.get(f"{self.panel}?{query}", 422).body
            self.assertIn(text, page)
            self.assertNotIn(
                b"reboot", re.search(rb'<pre id="command">.*?</pre>', page, re.DOTALL)[0]
            )

    def test_privileged_ports_are_warned_of(self):
        self.assertIn(b"below 1024", self.browser.get(f"{self.panel}?port_5432=80").body)
        self.assertNotIn(b"below 1024", self.browser.get(self.panel).body)

    def test_a_token_is_made_when_asked_for_and_shown_once(self):
        self.browser.get(self.panel)
        self.assertEqual(self.store.read(tokens.list_page).items, ())
        action = f"{self.panel}/token"
        answer = self.browser.send(f"{self.panel}?port_5432=15432", action=action, status=200)
        self.assertRegex(answer.body.decode(), r'<pre id="token">[a-z2-7]{26}</pre>')
        self.assertIn(b"127.0.0.1:15432:", answer.body)
        self.assertIn(b'data-seconds="600"', answer.body)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        (token,) = self.store.read(tokens.list_page).items
        self.assertEqual(token.user_id, self.people[Role.USER].id)
        self.assertNotIn(b'id="token"', self.browser.get(self.panel).body)

    def test_no_token_without_the_proof(self):
        answer = self.browser.ask("POST", f"{self.panel}/token", {"csrf": "0" * 64})
        self.assertEqual(answer.status, 403)
        self.assertEqual(self.store.read(tokens.list_page).items, ())

    def test_without_any_it_says_what_to_do(self):
        page = self.signed_in(Role.AUDITOR).get("/").body
        self.assertIn(b"No application is assigned to you yet", page)

    def test_files_of_the_pages_are_there(self):
        page = self.browser.get("/").body.decode()
        addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
        self.assertGreater(len(addresses), 10)
        for address in addresses:
            answer = self.browser.get(address)
            self.assertIn("immutable", answer.headers["cache-control"])
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        for missing in ["/static/", "/static/../templates/base.html", "/static/%2e%2e"]:
            self.browser.get(missing, 404)

    def test_no_page_has_script_or_style_of_its_own(self):
        for path in ["/", self.panel, "/sign-in?next=/"]:
            page = self.browser.ask("GET", path).body.decode()
            self.assertNotRegex(page, r"<style|\sstyle=|\son[a-z]+=\"|https?://")
            self.assertNotRegex(page, r"<script(?![^>]*\ssrc=)")

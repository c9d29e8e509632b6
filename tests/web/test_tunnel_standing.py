"""One state for a tunnel, whichever door somebody looks through."""

import html
import re

from tests.domain import values
from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.entities import Session, SessionMethod
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.policy import Decision
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.pod.tunnel_descriptions import describe
from tunnelcloud.store import tunnels, user_views
from tunnelcloud.web.interfaces import ConnectorHealth

REFUSED = "connect to 10.0.0.5:5432: refused"
ADMIN_WORDS = {
    "ready": "● Ready",
    "unchecked": "○ Not checked yet",
    "partly": "◐ Some ports don't answer",
    "unreachable": "✕ Doesn't answer",
    "offline": "✕ Site offline",
    "shut": "◌ Disabled",
}


class DoorsTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.tunnel = self.make_tunnel(target_ports=["5432", "5433"])
        site = self.tunnel["site_id"]
        made = self.api("POST", "/connectors", {"name": "paris-1", "site_id": site})
        self.live.health = {made["id"]: ConnectorHealth(1.0, 0, "1")}
        self.user = self.people[Role.USER]
        body = {"user_id": self.user.id, "methods": ["token"]}
        self.assigned = self.api("POST", f"/tunnels/{self.tunnel['id']}/assignments", body)
        self.mine = self.signed_in(Role.USER)
        self.admins = self.signed_in(Role.ADMIN)

    def text(self, browser, path):
        page = html.unescape(browser.get(path).body.decode())
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))

    def own(self):
        return self.api("GET", "/me/tunnels", role=Role.USER)["items"][0]

    def row(self, refusal, awaited=None):
        """Give the tunnel's row in ``ssh pod ls``."""
        decision = Decision(not refusal, refusal, awaited=awaited)
        tunnel = self.store.read(tunnels.get, self.tunnel["id"])
        view = self.store.read(user_views.load_view, self.user.id)
        user = self.user
        session = Session(
            "ses_1", user.id, user.name, SessionMethod.TOKEN, user.name, "127.0.0.1", "OpenSSH",
            "pod_1", self.context.now(),
        )  # fmt: skip
        seen = self.live.target_faults(tunnel.id)
        address = PublicAddress("pod", 22)
        return describe(view, session, tunnel, address, bool(self.live.health), decision, seen)

    def check(self, standing, state, *, for_admin=None, in_ssh=None):
        """Look through every door."""
        own = self.own()
        self.assertEqual((own["standing"], own["state"]), (standing, state))
        refusal = f"db: {state}" if standing in ("shut", "held") else ""
        row = self.row(refusal, values.policy() if standing == "held" else None)
        self.assertEqual((row.api()["standing"], row.state), (standing, in_ssh or state))
        for path in ("/", f"/applications/{self.tunnel['id']}"):
            page = self.text(self.mine, path)
            self.assertIn(state, page, path)
            self.assertEqual("● Ready" in page, standing == "ready", path)
        wanted = for_admin or standing
        below = f"/tunnels/{self.tunnel['id']}"
        for found in (
            self.api("GET", "/tunnels")["items"][0],
            self.api("GET", below),
            self.api("PATCH", below, {"title": standing}),
        ):
            self.assertEqual(found["standing"], wanted)
        for path in ("/admin/tunnels", f"/admin{below}"):
            page = self.text(self.admins, path)
            told = [one for one, words in ADMIN_WORDS.items() if words in page]
            self.assertEqual(told, [wanted], path)
        page = self.text(self.admins, f"/admin/sites/{self.tunnel['site_id']}")
        self.assertIn(ADMIN_WORDS[wanted], page.partition(" db ")[2])

    def test_ready(self):
        self.check("ready", "Ready")

    def test_not_checked(self):
        self.live.faults[self.tunnel["id"]] = {}
        self.check("unchecked", "Not checked yet")

    def test_some_ports(self):
        self.live.faults[self.tunnel["id"]] = {5432: REFUSED, 5433: ""}
        self.check("partly", f"Port 5432: {REFUSED}")

    def test_a_target_that_cannot_be_reached(self):
        self.live.faults[self.tunnel["id"]] = {5432: REFUSED}
        self.check("unreachable", f"Port 5432: {REFUSED}")

    def test_a_site_that_is_down(self):
        self.live.health = {}
        state = "No connector of site paris has joined yet"
        self.check("offline", state, in_ssh="Site paris is offline")

    def test_disabled(self):
        self.api("PATCH", f"/tunnels/{self.tunnel['id']}", {"enabled": False})
        self.check("shut", "Disabled; an administrator can enable it")

    def assigned_by(self, **policy):
        made = self.api("POST", "/policies", {"name": "one", **policy})
        path = f"/tunnels/{self.tunnel['id']}/assignments/{self.assigned['id']}"
        self.api("PATCH", path, {"policy_id": made["id"]})

    def test_an_approval(self):
        self.assigned_by(approval="others", emergency_seconds=600)
        state = self.own()["state"]
        self.assertIn("Needs an approval, and there is none now", state)
        self.check("held", state, for_admin="ready")
        page = self.mine.get(f"/applications/{self.tunnel['id']}").body.decode()
        self.assertIn(f"/requests/new?tunnel={self.tunnel['id']}", page)

    def test_a_policy(self):
        self.assigned_by(valid_until="2020-01-01T00:00:00Z")
        state = self.own()["state"]
        self.assertNotEqual(state, "Ready")
        self.check("shut", state, for_admin="ready")

    def test_an_approval_that_is_missing(self):
        """A connection waits for it, and nobody could give it before somebody connects."""
        self.assigned_by(approval="self")
        self.check("held", "Needs your confirmation in the portal", for_admin="ready")
        page = self.text(self.mine, f"/applications/{self.tunnel['id']}")
        self.assertIn("Follow the steps below: your connection then waits", page)
        self.assertNotIn("It doesn't open now", page)

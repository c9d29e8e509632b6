"""The admin portal under attack: every field of every form, every parameter of every address."""

import html
import re
import shlex
from urllib.parse import quote

from tests.store.material import count_events
from tests.web.portal.browser import Forms, PortalTestCase
from tunnelcloud.domain.entities import Method, SessionMethod
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import assignments, channels, pods, policies, sessions, tunnels
from tunnelcloud.store.engine import Store
from tunnelcloud.store.errors import StoreUnavailable

CANARY = "<script>alert(1)</script>\"'&\u202e\x1b[31m"
HOSTILE = (
    CANARY, "\x00", "", " ", "x" * 5000, "9" * 40, "-1", "0x10", "null", "{{ 7*7 }}", "%00",
    "../../etc/passwd", "sit_" + "0" * 26, "group:", "user:x", "\u00e9" * 70,
    "\U0001f469\u200d\U0001f4bb", "9999-99-99T99:99:99", "10.0.0.0/8\n" * 300,
    "Mon-Fri 25:00-99:00 Mars/Olympus",
)  # fmt: skip
PARAMETERS = (
    "q", "cursor", "live", "tunnel", "method", "source_ip", "since", "until", "event", "actor",
    "user", "port", "at", "assigned_after", "site_id", "who", "kinds", "member", "user_name",
)  # fmt: skip


class HostileTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)
        tunnel, other = self.make_tunnel("db"), self.make_tunnel("other")
        user = self.people[Role.USER]
        self.group = self.api("POST", "/groups", {"name": "dba"})
        policy = self.store.write(policies.create, name="office")
        assignment = self.store.write(
            assignments.create,
            tunnel_id=tunnel["id"],
            methods=frozenset(Method),
            user_id=user.id,
            policy_id=policy.id,
        )
        pod = self.store.write(
            pods.register,
            pods.Registration(name="p", version="1", ssh_address="x:1", connectors_address="x:2"),
        )
        login = sessions.LoginRecord("x", "192.0.2.7", "c", pod.id)
        started = [
            self.store.write(sessions.start, user, SessionMethod.KEY, login) for _ in range(2)
        ]
        published = self.store.read(tunnels.get, tunnel["id"])
        channel = self.store.write(
            channels.open, started[0], published, destination="db", port=5432
        )
        connector = self.api("POST", "/connectors", {"name": "c", "site_id": tunnel["site_id"]})
        one = f"/admin/sessions/{started[0].id}"
        assigned = f"/admin/tunnels/{tunnel['id']}/assignments/{assignment.id}"
        self.pages = [
            "/admin", "/admin/audit", "/admin/explain", "/admin/sessions", "/admin/settings",
            "/admin/names", f"/admin/tunnels/{tunnel['id']}", f"/admin/users/{user.id}",
            f"/admin/groups/{self.group['id']}", f"/admin/policies/{policy.id}/settings",
            f"/admin/sites/{tunnel['site_id']}", f"/admin/connectors/{connector['id']}",
            *(f"/admin/{kind}s/new" for kind in ("tunnel", "site", "connector", "user", "group")),
            "/admin/policies/new", "/admin/tunnels", "/admin/users", "/admin/groups",
            *(f"/admin/tunnels/{tunnel['id']}/{tab}" for tab in ("access", "settings")),
            *(f"/admin/users/{user.id}/{tab}" for tab in ("access", "activity", "settings")),
            f"/admin/groups/{self.group['id']}/settings",
            f"/admin/sites/{tunnel['site_id']}/settings",
            f"/admin/connectors/{connector['id']}/settings",
        ]  # fmt: skip
        self.others = [
            f"/admin/tunnels/{other['id']}/assignments/{assignment.id}/delete",
            f"/admin/sessions/{started[1].id}/channels/{channel.id}/end",
        ]
        self.own = [f"{assigned}/delete", f"{one}/channels/{channel.id}/end", f"{one}/end"]

    def calm(self, answer, told):
        self.assertLess(answer.status, 500, told)
        self.assertNotIn(b"<script>alert", answer.body, told)
        self.assertNotIn(b"7*7=49", answer.body, told)
        # A field keeps what was typed; wherever else it stands, it shows.
        text = re.sub(rb'value="[^"]*"|<textarea.*?</textarea>', b"", answer.body, flags=re.DOTALL)
        self.assertNotIn(b"\x1b", text, told)

    def test_every_field_of_every_form(self):
        tried = 0
        for path in self.pages:
            for action, fields in Forms(self.browser.get(path).body.decode()).forms:
                if action is None or not action.startswith("/admin/"):
                    continue
                names = dict.fromkeys(name for name, _ in fields if name != "csrf")
                for name, value in zip(
                    (name for name in names for _ in range(4)),
                    (HOSTILE[(tried + step) % len(HOSTILE)] for step in range(4 * len(names))),
                    strict=True,
                ):
                    form = [(one, text) for one, text in fields if one != name]
                    answer = self.browser.ask("POST", action, [*form, (name, value)])
                    self.calm(answer, f"{action} {name}={value[:40]!r}")
                    tried += 1
        self.assertGreater(tried, 150)

    def test_every_parameter_of_every_address(self):
        for number, path in enumerate(self.pages):
            for step, name in enumerate(PARAMETERS):
                value = HOSTILE[(number + step) % len(HOSTILE)]
                answer = self.browser.ask("GET", f"{path}?{name}={quote(value)}")
                self.calm(answer, f"{path} {name}={value[:40]!r}")

    def test_what_is_of_another_is_not_there(self):
        before = self.store.read(count_events)
        for path in self.own:
            self.browser.get(path)
        for path in self.others:
            self.browser.get(path, 404)
            csrf = Forms(self.browser.get("/admin").body.decode()).forms[0][1]
            self.assertEqual(self.browser.ask("POST", path, csrf).status, 404)
        self.assertEqual(self.live.ended, [])
        self.assertEqual(self.store.read(count_events), before)

    def test_a_note_that_was_planted_is_text(self):
        self.browser.cookies["__Host-tunnelcloud-note"] = quote(CANARY)
        answer = self.browser.get("/admin")
        self.calm(answer, "note")
        self.assertIn(b"&lt;script&gt;alert(1)", answer.body)

    def test_a_name_that_is_a_user_s_and_a_group_s_is_asked_about(self):
        self.make_user("dba")
        path = self.pages[6]
        answer = self.browser.send(path, {"who": "dba"}, f"{path}/assignments", status=422)
        self.assertIn(b"write user:dba or group:dba", answer.body)
        self.browser.send(path, {"who": "group:dba", "policy": ""}, f"{path}/assignments")
        (_, found) = self.api("GET", f"/tunnels/{path.split('/')[-1]}/assignments")["items"]
        self.assertEqual(found["group_id"], self.group["id"])

    def test_what_fails_keeps_its_menu(self):
        for method, path, status in [
            ("GET", "/admin/nothing", 404),
            ("GET", "/admin/users/usr_" + "0" * 26, 404),
            ("POST", "/admin/audit", 405),
            ("POST", "/admin/users/new", 403),
        ]:
            answer = self.browser.ask(method, path, {} if method == "POST" else None)
            self.assertEqual(answer.status, status, path)
            self.assertIn(b'aria-label="Administration"', answer.body)
            self.assertIn("default-src 'self'", answer.headers["content-security-policy"])
        stranger = type(self.browser)(self)
        answer = stranger.ask("GET", "/admin/nothing")
        self.assertEqual(answer.status, 404)
        self.assertNotIn(b'aria-label="Administration"', answer.body)

    def test_a_command_to_copy_runs_nothing_that_came_from_elsewhere(self):
        evil = quote("$(touch /tmp/x);`id`'\n\x1b[201~id\n")
        for path in [
            f"/admin/explain?user={evil}&tunnel={evil}&port={evil}&method={evil}",
            f"/admin/audit?event={evil}&user_name={evil}&tunnel_name={evil}",
        ]:
            page = self.browser.ask("GET", path).body.decode()
            command = html.unescape(page.split('<pre id="cli-line">')[1].split("</pre>")[0])
            self.assertNotIn("\n", command)
            self.assertNotIn("\x1b", command)
            words = shlex.split(command)
            self.assertEqual(words[0], "tunnelcloud")
            self.assertTrue(any("$(touch" in word for word in words), command)

    def test_a_store_that_is_gone_is_said(self):
        def unavailable(*args, **kwargs):
            raise StoreUnavailable("the database is gone")

        self.patch(Store, "read_soon", unavailable)
        answer = self.browser.ask("GET", "/admin")
        self.assertEqual(answer.status, 503)
        self.assertIn(b"<h1>Service Unavailable</h1>", answer.body)

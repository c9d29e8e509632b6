"""The admin portal: what there is, made, changed, deleted and looked at without leaving it."""

import html
import json
import re
import threading
from datetime import UTC, datetime
from importlib.resources import files

from sqlalchemy import update

from tests.store.material import count_events
from tests.web.portal.browser import PortalTestCase
from tests.web.support import KEY
from tunnelcloud.domain.entities import Method, SessionMethod
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.policy_sentences import policy_sentence
from tunnelcloud.store import (
    assignments,
    channels,
    groups,
    pods,
    policies,
    schema,
    sessions,
    sites,
    tunnels,
    users,
)
from tunnelcloud.web.interfaces import CertificateState, ConnectorHealth
from tunnelcloud.web.portal.admin_kinds import SECTIONS
from tunnelcloud.web.portal.pages import list_columns, object_panels

CANARY = "<script>alert(1)</script>\"'&\u202e"


class AdminTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)

    def test_policies_are_put_into_words_away_from_the_reactor(self):
        """With all the hours and networks that one may have, each takes two milliseconds."""
        policy = self.api(
            "POST", "/policies", {"name": "hours", "windows": ["Mon 09:00-17:00 UTC"]}
        )
        user = self.make_user("walter")
        self.assign(self.make_tunnel(), user, policy_id=policy["id"])
        threads = []

        def noted(policy):
            threads.append(threading.current_thread() is threading.main_thread())
            return policy_sentence(policy)

        for module in (list_columns, object_panels):
            self.patch(module, "policy_sentence", noted)
        self.browser.get("/admin/policies")
        self.browser.get(f"/admin/users/{user['id']}/access")
        self.assertEqual(threads, [False, False])

    def items(self, module, **filters):
        return self.store.read(module.list_page, **filters).items

    def test_a_first_day(self):
        send = self.browser.send
        self.assertIn(b"First steps", self.browser.get("/admin").body)
        send("/admin/sites/new", {"name": "paris"})
        (site,) = self.items(sites)
        connector = {"name": "paris-1", "site_id": site.id}
        answer = self.browser.send_on("/admin/connectors/new", connector)
        self.assertIn(b"twistd -n --pidfile= tunnelcloud connector", answer.body)
        form = {
            "name": "db",
            "site_id": site.id,
            "target_address": "10.0.0.5",
            "target_ports": "5432, 8000-8010",
        }
        answer = send("/admin/tunnels/new", form)
        (tunnel,) = self.items(tunnels)
        self.assertEqual(answer.headers["location"], f"/admin/tunnels/{tunnel.id}")
        self.assertEqual([str(ports) for ports in tunnel.target_ports], ["5432", "8000-8010"])
        self.assertTrue(tunnel.enabled)
        send("/admin/users/new", {"name": "alice", "email": "alice@example.com"})
        (alice,) = self.items(users, q="alice")
        self.assertEqual((alice.role, alice.service), (Role.USER, False))
        send("/admin/groups/new", {"name": "dba"})
        (group,) = self.items(groups)
        path = f"/admin/groups/{group.id}"
        send(path, {"member": "alice"}, f"{path}/members")
        self.assertEqual(self.store.read(groups.list_members, group.id).items, (alice,))
        form = {"name": "office", "windows": "Mon-Fri 09:00-18:00 Europe/Paris\n"}
        send("/admin/policies/new", form)
        (policy,) = self.items(policies)
        self.assertIsNone(policy.max_channels)
        path = f"/admin/tunnels/{tunnel.id}"
        form = {"who": "dba", "methods": ["token", "key"], "policy": policy.id}
        send(path, form, f"{path}/assignments")
        (assignment,) = self.items(assignments)
        self.assertEqual((assignment.group_id, assignment.policy_id), (group.id, policy.id))
        self.assertEqual(assignment.methods, frozenset(Method))
        self.assertIn(b'<span class="tag">group</span>', self.browser.get(f"{path}/access").body)
        page = self.browser.get("/admin").body.decode()
        self.assertEqual(page.count("✓ done:"), 4)
        page = self.browser.get("/admin/explain?user=alice&tunnel=db&at=2026-11-22T12:00:00").body
        self.assertIn(b"Refused", page)
        self.assertIn(b"opens Mon 09:00 Europe/Paris", page)
        # The command asks the same, and nothing that the page wasn't asked.
        self.assertIn(b"tunnelcloud explain alice db --at 2026-11-22T12:00:00Z<", page)
        page = self.browser.get("/admin/explain?user=alice&tunnel=db&port=1&method=key").body
        self.assertIn(b"tunnelcloud explain alice db --port 1 --method key<", page)

    def test_a_form_that_is_saved_unchanged_changes_nothing(self):
        tunnel = self.make_tunnel("db", external_address="db.example.com", description="a\n\nb\n")
        policy = self.api(
            "POST",
            "/policies",
            {
                "name": "p",
                "valid_until": "2030-01-01T10:20:30Z",
                "source_networks": ["10.0.0.0/8", "::/0"],
                "max_channels": 3,
            },
        )
        for path in [f"/tunnels/{tunnel['id']}", f"/policies/{policy['id']}"]:
            before = self.api("GET", path)
            self.browser.send(f"/admin{path}", action=f"/admin{path}")
            self.assertEqual(self.api("GET", path), before)

    def test_what_is_wrong_is_said_at_the_field_and_what_was_typed_stays(self):
        self.make_tunnel("taken")
        (site,) = self.items(sites)
        good = {
            "name": "db",
            "site_id": site.id,
            "target_address": "10.0.0.5",
            "target_ports": "1",
        }
        for name, value in [
            ("name", "A b"),
            ("name", "taken"),
            ("target_ports", "0"),
            ("target_address", CANARY),
            ("local_port_offset", CANARY),
            ("external_address", CANARY),
        ]:
            answer = self.browser.send("/admin/tunnels/new", {**good, name: value}, status=422)
            page = answer.body.decode()
            self.assertIn(f'id="{name}-error"', page)
            self.assertIn(f'value="{html.escape(value).replace("&quot;", "&#34;")}"'
                          .replace("&#x27;", "&#39;"), page)  # fmt: skip
        self.assertEqual(len(self.items(tunnels)), 1)

    def test_a_tunnel_and_its_assignments_are_made_together_or_not_at_all(self):
        self.make_user("alice")
        self.make_user("bob")
        site = self.make_site()
        policy = self.api("POST", "/policies", {"name": "office"})["id"]
        form = {
            "name": "db",
            "site_id": site["id"],
            "target_address": "10.0.0.5",
            "target_ports": "5432",
            "who_0": "alice",
            "policy_0": policy,
            "who_2": "bob",
            "methods_2": "key",
        }
        before = self.store.read(count_events)
        for bad in ("pol_" + "0" * 26, "offices"):
            answer = self.browser.send("/admin/tunnels/new", {**form, "policy_2": bad}, status=422)
            page = answer.body.decode()
            self.assertEqual(page.count('-error"'), 2, "the fault, and what names it")
            self.assertIn('id="policy_2-error"', page)
            for value in ("db", "10.0.0.5", "5432", "alice", "bob", policy, bad):
                self.assertIn(f'value="{value}"', page)
        self.assertEqual(self.items(tunnels), ())
        self.assertEqual(self.store.read(count_events), before)
        self.browser.send("/admin/tunnels/new", form)
        (tunnel,) = self.items(tunnels)
        made = self.api("GET", f"/tunnels/{tunnel.id}/assignments")["items"]
        self.assertEqual(sorted(len(one["methods"]) for one in made), [1, 2])

    def test_a_change_of_what_changed_meanwhile_is_refused(self):
        site = self.make_site()
        path = f"/admin/sites/{site['id']}"
        self.store.write(sites.update, site["id"], {"title": "theirs"})
        answer = self.browser.send(path, {"version": "0" * 32, "title": "mine"}, path, status=422)
        self.assertIn(b"was changed meanwhile", answer.body)
        self.assertEqual(self.store.read(sites.get, site["id"]).title, "theirs")

    def test_deleting(self):
        site = self.make_site()
        path = f"/admin/sites/{site['id']}"
        self.assertIn(f'href="{path}/delete"', self.browser.get(f"{path}/settings").body.decode())
        self.make_tunnel()
        page = self.browser.get(f"{path}/delete").body.decode()
        self.assertIn("Nobody is connected through it now.", page)
        self.assertIn("1 tunnel is deleted, too.", page)
        self.browser.send(f"{path}/delete", action=f"{path}/delete")
        self.assertIn("Deleted paris.", self.browser.get("/admin/sites").body.decode())
        self.assertNotIn("Deleted paris.", self.browser.get("/admin/sites").body.decode())
        self.assertEqual(self.items(sites), ())
        self.browser.get(path, 404)

    def test_a_connector_shows_the_version_that_it_runs(self):
        site = self.make_site()
        made = self.api("POST", "/connectors", {"name": "c", "site_id": site["id"]})
        self.live.health = {made["id"]: ConnectorHealth(1.0, 3, "4.5.6")}
        for path in ["", "/state"]:
            page = self.browser.get(f"/admin/connectors/{made['id']}{path}").body
            self.assertIn(b"4.5.6", page)

    def test_a_link_for_a_user(self):
        path = f"/admin/users/{self.people[Role.USER].id}"
        answer = self.browser.send_on(path, action=f"{path}/invite")
        self.assertIn(b"https://portal.example.com/invitation/tcl_", answer.body)

    def test_ending_a_session_from_the_list(self):
        pod = self.store.write(
            pods.register,
            pods.Registration(name="p", version="1", ssh_address="x:1", connectors_address="x:2"),
        )
        login = sessions.LoginRecord("x", "192.0.2.7", CANARY, pod.id)
        user = self.people[Role.USER]
        session = self.store.write(sessions.start, user, SessionMethod.KEY, login)
        self.assertIn(b"the-user", self.browser.get("/admin/sessions").body)
        end = f"/admin/sessions/{session.id}/end"
        self.assertIn(end, self.browser.get("/admin/sessions").body.decode())
        self.browser.send(end, action=end)
        self.assertEqual(self.live.ended, [(session.id, "ended by administrator the-admin")])

    def test_ending_a_channel_and_leaving_its_session(self):
        pod = self.store.write(
            pods.register,
            pods.Registration(name="p", version="1", ssh_address="x:1", connectors_address="x:2"),
        )
        login = sessions.LoginRecord("x", "192.0.2.7", "c", pod.id)
        session = self.store.write(sessions.start, self.people[Role.USER], SessionMethod.KEY, login)
        made = self.make_tunnel("db")
        tunnel = self.store.read(tunnels.get, made["id"])
        channel = self.store.write(channels.open, session, tunnel, destination="db", port=5432)
        page = self.browser.get("/admin/sessions?tunnel=db").body.decode()
        end = f"/admin/sessions/{session.id}/channels/{channel.id}/end"
        self.assertIn(end, page)
        self.browser.send(end, action=end)
        self.assertEqual(self.live.ended, [(channel.id, "ended by administrator the-admin")])
        # What is open is said before its tunnel goes, and a policy that is needed can't go.
        page = self.browser.get(f"/admin/tunnels/{tunnel.id}/delete").body.decode()
        self.assertIn("1 person is connected now; they will be cut off.", page)
        policy = self.store.write(policies.create, name="p")
        self.assign(made, self.make_user(), policy_id=policy.id)
        path = f"/admin/policies/{policy.id}/delete"
        page = self.browser.get(path).body.decode()
        self.assertIn("1 assignment uses this policy", page)
        self.assertNotIn("danger sure", page)
        csrf = page.split('name="csrf" value="')[1].split('"')[0]
        self.assertIn(b"p stays", self.browser.ask("POST", path, {"csrf": csrf}).body)
        self.assertEqual(len(self.items(policies)), 1)

    def test_what_is_taken_away_asks_first_and_cancelling_changes_nothing(self):
        """Links lead to pages that ask: scripts only make dialogs of these."""
        user = self.make_user()
        path = f"/admin/users/{user['id']}"
        group = self.api("POST", "/groups", {"name": "dba"})
        members = f"/groups/{group['id']}/members"
        self.api("PUT", f"{members}/{user['id']}")
        key = self.api("POST", f"/users/{user['id']}/keys", {"public_key": KEY})
        token = self.api("POST", "/api-tokens", {"title": "backups", "role": "auditor"})
        for page, below, question, api in [
            (f"{path}/access", f"keys/{key['id']}/revoke", f"Revoke the key {key['fingerprint']}?",
             f"/users/{user['id']}/keys"),
            (f"/admin/groups/{group['id']}", f"members/{user['id']}/remove",
             "Remove alice from the group?", members),
            ("/admin/settings", f"api-tokens/{token['id']}/revoke",
             "Revoke the API token backups?", "/api-tokens"),
        ]:  # fmt: skip
            ask = f"{page.removesuffix('/access')}/{below}"
            before = self.api("GET", api)["items"]
            self.assertIn(f'data-dialog href="{ask}"', self.browser.get(page).body.decode())
            asking = self.browser.get(ask).body.decode()
            self.assertIn(f"<h1>{question}</h1>", asking)
            self.assertRegex(asking, f'<a class="button" href="{page}(#[a-z-]+)?"')
            self.assertEqual(len(self.api("GET", api)["items"]), len(before))
            answer = self.browser.send(ask)
            self.assertEqual(answer.headers["location"].partition("#")[0], page)
            self.assertEqual(len(self.api("GET", api)["items"]), len(before) - 1)

    def test_blocking_asks_and_says_what_it_cuts_off(self):
        user = self.people[Role.USER]
        page = f"/admin/users/{user.id}"
        self.assertNotIn('name="blocked"', self.browser.get(page).body.decode())
        self.assertIn(b"They have no session open now.", self.browser.get(f"{page}/block").body)
        pod = self.store.write(
            pods.register,
            pods.Registration(name="p", version="1", ssh_address="x:1", connectors_address="x:2"),
        )
        login = sessions.LoginRecord("x", "192.0.2.7", "x", pod.id)
        self.store.write(sessions.start, user, SessionMethod.KEY, login)
        asking = self.browser.get(f"{page}/block").body.decode()
        self.assertIn("<h1>Block the-user?</h1>", asking)
        self.assertIn("1 session will be cut off.", asking)
        self.assertFalse(self.api("GET", f"/users/{user.id}")["blocked"])
        self.browser.send(f"{page}/block")
        self.assertTrue(self.api("GET", f"/users/{user.id}")["blocked"])
        self.browser.send(page, action=f"{page}/unblock")
        self.assertFalse(self.api("GET", f"/users/{user.id}")["blocked"])

    def test_examples_of_the_api_work_as_they_stand_but_for_ids(self):
        ids = {"<id of the site>": self.make_site(name="rome")["id"],
               "<id of a user>": self.people[Role.USER].id}  # fmt: skip
        for section in SECTIONS:
            page = html.unescape(self.browser.get(f"/admin/{section.plural}/new").body.decode())
            call = page.split('<pre id="api-call">')[1].split("</pre>")[0]
            for shown, real in ids.items():
                call = call.replace(shown, real)
            line, body = call.split("\n")
            method, path = line.split()
            self.assertEqual(method, "POST")
            made = self.api("POST", path.removeprefix("/api/v1"), json.loads(body))
            self.assertIn(made["name"], page)
        self.assertIn("GET /api/v1/audit</pre>", self.browser.get("/admin/audit").body.decode())

    def test_faults_say_which_line_and_which_limit(self):
        form = {"name": "p", "source_networks": "10.0.0.0/8\nfoo", "max_session_seconds": "0s",
                "max_token_sessions": "9"}  # fmt: skip
        page = self.browser.send("/admin/policies/new", form, status=422).body.decode()
        page = html.unescape(page)
        self.assertIn("'foo' is not a network: use one such as 10.0.0.0/8", page)
        self.assertIn(">use 1s or more</p>", page)
        self.assertIn(">use 8 or less</p>", page)
        self.make_site(name="oslo")
        form = {"name": "t", "external_address": "not a host"}
        page = self.browser.send("/admin/tunnels/new", form, status=422).body.decode()
        self.assertIn("use a host name that resolves to the pods, such as db.example.com", page)

    def test_lengths_of_time_are_typed_with_a_unit(self):
        form = {"name": "p", "max_session_seconds": "8h", "idle_seconds": "900s"}
        page = self.browser.send("/admin/policies/new", form).headers["location"]
        (made,) = self.items(policies)
        self.assertEqual((made.max_session_seconds, made.idle_seconds), (28_800, 900))
        shown = self.browser.get(f"{page}/settings").body.decode()
        self.assertIn('name="max_session_seconds" type="text" value="8h"', shown)
        self.assertIn('name="idle_seconds" type="text" value="15m"', shown)
        self.assertIn("--max-session 8h --idle 15m", shown)
        for wrong in ("soon", "-1", "900", "0"):
            form = {"max_session_seconds": wrong}
            shown = self.browser.send(page, form, action=page, status=422).body.decode()
            self.assertIn("use a number and a unit, such as 30s, 10m, 8h or 7d", shown)
            self.assertIn(f'type="text" value="{wrong}"', shown)

    def test_no_form_needs_scripts_to_ask(self):
        templates = files("tunnelcloud.web").joinpath("templates").iterdir()
        texts = [one.read_text("utf-8") for one in templates]
        self.assertIn("data-dialog", "".join(texts))
        self.assertNotIn("data-ask", "".join(texts))

    def test_lists_go_on(self):
        for number in range(60):
            self.store.write(users.create, name=f"person-{number:02}")
        page = self.browser.get("/admin/users?q=person").body.decode()
        self.assertIn("person-29", page)
        self.assertNotIn("person-30", page)
        following = html.unescape(page.split('rel="next" href="')[1].split('"')[0])
        page = self.browser.get(following).body.decode()
        self.assertIn("person-59", page)
        self.assertNotIn("person-29", page)

    def test_the_audit(self):
        self.make_site(name="paris")
        page = self.browser.get("/admin/audit?event=site.&q=paris").body.decode()
        rows = page.split('class="audit"')[1].split("</table>")[0]
        self.assertIn("site.created", rows)
        self.assertNotIn("web_login", rows)
        self.assertIn('href="/admin/audit/export?q=paris&amp;event=site."', page)
        answer = self.browser.get("/admin/audit/export?q=paris&event=site.")
        self.assertIn("audit.ndjson", answer.headers["content-disposition"])
        (line,) = answer.body.decode().splitlines()
        self.assertEqual(json.loads(line)["event"]["action"], "site.created")
        as_csv = html.unescape(re.search('href="([^"]*)" download>as CSV', page)[1])
        self.assertEqual(as_csv, "/admin/audit/export?q=paris&event=site.&format=csv")
        self.browser.get("/admin/audit/export?since=nonsense", 422)
        self.assertIn("created site paris</summary>", rows)
        self.assertIn('href="/admin/audit?q=paris&amp;event=">Event: site.', page)

        def write(transaction):
            transaction.connection.execute(
                update(schema.audit)
                .where(schema.audit.c.event == "site.created")
                .values(event="site.eaten", data={"by": CANARY})
            )

        # What a pod of another version wrote is there, too.
        self.store.write(write)
        page = self.browser.get("/admin/audit").body.decode()
        self.assertIn("<code>site.eaten</code>", page)
        self.assertNotIn(CANARY, page)
        (facet,) = re.findall('href="([^"]*)">site.eaten', page)
        self.assertIn(
            "<code>site.eaten</code>", self.browser.get(html.unescape(facet)).body.decode()
        )


class ProxyWarningTests(PortalTestCase):
    def test_settings_name_a_proxy_that_is_not_trusted(self):
        browser = self.signed_in(Role.ADMIN)
        self.assertNotIn(b"trusted_proxies", browser.get("/admin/settings").body)
        browser.ask("GET", "/", headers={"X-Forwarded-For": "203.0.113.9"})
        self.assertIn(b"requests from 192.168.1.1 name", browser.get("/admin/settings").body)


class WebCertificateTests(PortalTestCase):
    def test_settings_tell_of_a_certificate_by_acme_and_what_is_wrong(self):
        browser = self.signed_in(Role.AUDITOR)
        self.assertNotIn(b"Web certificate", browser.get("/admin/settings").body)
        ends = datetime(2030, 1, 1, tzinfo=UTC)
        directory = "https://ca.example.com/dir"
        for state, words in (
            (CertificateState(("a.example",), None, None, directory, "it said <no>"), "none yet"),
            (CertificateState(("a.example",), ends, ends, directory, ""), "Renewal"),
        ):
            self.live.certificate = state
            page = browser.get("/admin/settings").body.decode()
            for text in (
                "Web certificate",
                "a.example",
                directory,
                words,
                html.escape(state.fault),
            ):
                self.assertIn(text, page)

"""Every page of the page table: for every role, with hostile names, and without its proof."""

import re
from collections.abc import Mapping

from tests.store.material import count_events
from tests.web.portal.browser import Browser, PortalTestCase
from tests.web.portal.structure import faults_of
from tests.web.support import KEY
from tunnelcloud.domain.entities import Method, SessionMethod
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import (
    approvals,
    assignments,
    browser_logins,
    channels,
    connectors,
    emergencies,
    groups,
    pods,
    policies,
    sessions,
    sites,
    tunnels,
    users,
)
from tunnelcloud.store.device_logins import Asking
from tunnelcloud.web.portal import resource
from tunnelcloud.web.portal.live_parts import cut_parts
from tunnelcloud.web.portal.page_requests import Visit
from tunnelcloud.web.portal.tree import page_table

CANARY = "<script>alert(1)</script>\"'&\u202e"


SHOWN_ONCE = ("/invite", "/join", "/made", "/recovery-codes")
"""How the addresses end of pages that only show what a form has just made."""

READ_BESIDE = {"assigned_after"}
"""Fields that pages read for something else than the parts that keep themselves fresh."""


class ReadFields(Mapping):
    """An empty query that notes which of its fields are asked for."""

    def __init__(self, read):
        self._read = read

    def __getitem__(self, name):
        self._read.add(name)
        raise KeyError(name)

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


class EveryPageTests(PortalTestCase):
    """Made from the page table: no page is left out."""

    def setUp(self):
        super().setUp()
        self.pages = page_table(self.context, self.table)
        title = {"title": CANARY}
        self.tunnel = self.make_tunnel("db", description=CANARY, icon="<", **title)
        site = self.store.read(sites.list_page).items[0]
        self.store.write(sites.update, site.id, title)
        connector = self.store.write(connectors.create, name="c", site_id=site.id, **title)
        group = self.store.write(groups.create, name="g", **title)
        policy = self.store.write(policies.create, name="p", **title)
        user = self.people[Role.USER]
        self.store.write(users.update, user.id, title)
        self.store.write(groups.add_member, group.id, user.id)
        assignment = self.store.write(
            assignments.create,
            tunnel_id=self.tunnel["id"],
            methods=frozenset(Method),
            user_id=user.id,
            policy_id=policy.id,
        )
        pod = self.store.write(
            pods.register,
            pods.Registration(name="p", version="1", ssh_address="x:1", connectors_address="x:2"),
        )
        login = sessions.LoginRecord(CANARY, "192.0.2.7", CANARY, pod.id)
        session = self.store.write(sessions.start, user, SessionMethod.KEY, login)
        channel = self.store.write(
            channels.open,
            session,
            self.store.read(tunnels.get, self.tunnel["id"]),
            destination=CANARY,
            port=1,
        )
        token = self.api("POST", "/api-tokens", {"title": CANARY, "role": "auditor"})
        key = self.api("POST", f"/users/{user.id}/keys", {"public_key": KEY, "title": CANARY})
        provider = self.api(
            "POST",
            "/identity-providers",
            {"name": "off", "issuer": "https://login.example.com", "client_id": CANARY,
             "enabled": False},
        )  # fmt: skip
        asking = self.store.write(policies.create, name="asking", approval=Approval.SELF, **title)
        request = self.store.write(
            approvals.ask,
            user,
            self.store.read(tunnels.get, self.tunnel["id"]),
            asking,
            source_ip="192.0.2.7",
            client=CANARY,
            reason=CANARY,
        )
        alone = self.store.write(
            policies.create, name="alone", approval=Approval.OTHERS, emergency_seconds=600, **title
        )
        emergency = self.store.write(
            emergencies.begin,
            user,
            self.store.read(tunnels.get, self.tunnel["id"]),
            alone,
            source_ip="192.0.2.7",
            reason=CANARY,
        )
        asking = Asking(b"x", "WDJB-MJHT", CANARY, "192.0.2.7", "192.0.2.7", CANARY)
        self.store.write(browser_logins.begin, asking)
        self.ids = {
            "code": asking.user_code,
            "request_id": request.id,
            "grant_id": emergency.id,
            "channel_id": channel.id,
            "api_token_id": token["id"],
            "tunnel_id": self.tunnel["id"],
            "site_id": site.id,
            "connector_id": connector.id,
            "group_id": group.id,
            "policy_id": policy.id,
            "user_id": user.id,
            "key_id": key["id"],
            "session_id": session.id,
            "assignment_id": assignment.id,
            "secret": "tcl_x",
            "provider": "corp",
            "identity_provider_id": provider["id"],
            "web_session_id": "web_" + "0" * 26,
        }

    def test_every_page_for_every_role(self):
        self.assertGreater(len(self.pages), 50)
        for role in [None, *Role]:
            browser = Browser(self) if role is None else self.signed_in(role)
            for page in self.pages:
                path = page.path.format(**self.ids)
                told = f"{role} {page.method} {path}"
                if page.method == "POST":
                    answer = browser.ask("POST", path, {"csrf": "0" * 64})
                    self.assertEqual(answer.status, 403, told)
                    continue
                answer = browser.ask("GET", path)
                if answer.headers.get("content-type", "").startswith("text/html"):
                    self.assertNotIn(b"<script>", answer.body, told)
                    self.assertEqual(faults_of(answer.body.decode()), [], told)
                if page.anonymous:
                    self.assertIn(answer.status, (200, 303, 410), told)
                elif role is None:
                    self.assertEqual(answer.status, 303, told)
                elif role not in page.roles:
                    self.assertEqual(answer.status, 403, told)
                elif path.endswith(("/second-factor", "/unfinished", *SHOWN_ONCE)):
                    self.assertEqual(answer.status, 303, told)
                elif path.startswith(("/applications/", "/keys/key_", "/sessions/")):
                    self.assertEqual(answer.status, 200 if role is Role.USER else 404, told)
                else:
                    self.assertEqual(answer.status, 200, told)

    def test_pages_that_keep_themselves_fresh_say_what_they_read(self):
        """A stream hands a page no other field of a query, and would show another page."""
        read = set()
        self.patch(
            resource, "Visit", lambda *of, **more: Visit(*of, **{**more, "query": ReadFields(read)})
        )
        found = set()
        for role in (Role.ADMIN, Role.USER):
            browser = self.signed_in(role)
            for page in self.pages:
                is_admins = page.path.startswith("/admin")
                if page.method != "GET" or page.anonymous or is_admins is not (role is Role.ADMIN):
                    continue
                read.clear()
                body = browser.ask("GET", page.path.format(**self.ids)).body
                # The others have an address of their own for them.
                if re.search(rb'data-fresh="\d+"(?! data-from)', cut_parts(body).html):
                    found.add(page.path)
                    self.assertEqual(page.query, read - READ_BESIDE, page.path)
        self.assertGreater(found, {"/", "/sessions", "/admin", "/admin/sessions", "/requests"})

    def test_what_is_wrong_with_a_page_is_found(self):
        page = '<p id="a"><b id="a"></b><label for="b">B</label><input name="c"><select></select>'
        self.assertEqual(len(faults_of(page)), 4)
        page = '<label>A <input name="a"></label><label for="b">B</label><input id="b" name="b">'
        self.assertEqual(faults_of(page), [])

    def test_a_stolen_cookie_without_its_proof_changes_nothing(self):
        browser = self.signed_in(Role.ADMIN)
        before = self.store.read(count_events)
        for page in self.pages:
            if page.method == "POST":
                for form in ({}, {"csrf": "0" * 64}):
                    answer = browser.ask("POST", page.path.format(**self.ids), form)
                    self.assertEqual(answer.status, 403, page.path)
        self.assertEqual(self.store.read(count_events), before)
        browser.get("/admin")

    def test_who_may_go_where(self):
        for page in self.pages:
            if page.path.startswith("/admin"):
                readers = page.method == "GET" and not page.path.endswith(
                    (
                        *("/new", "/delete", "/end", "/revoke", "/remove", "/block", "/test"),
                        *("/unlink", "/rotate", "/promote", "/retire", "/preview", *SHOWN_ONCE),
                    )
                )
                expected = {Role.ADMIN, Role.AUDITOR} if readers else {Role.ADMIN}
                self.assertEqual(page.roles, expected, page.path)

    def test_a_form_with_its_proof_does_no_more_than_its_sender_may(self):
        for role in (Role.USER, Role.AUDITOR):
            browser = self.signed_in(role)
            page = browser.get("/").body.decode()
            proof = page.split('name="csrf" value="')[1].split('"')[0]
            for one in self.pages:
                if one.method == "POST" and one.path.startswith("/admin"):
                    answer = browser.ask("POST", one.path.format(**self.ids), {"csrf": proof})
                    self.assertEqual(answer.status, 403, one.path)
        self.assertEqual(self.live.ended, [])

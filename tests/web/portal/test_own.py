"""One's own keys, sessions and refusals."""

import html

from tests.web.portal.browser import PortalTestCase
from tests.web.support import KEY
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import keys, pods, sessions
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.portal.pages.own_sessions import duration

CANARY = "<b>&\u202e"
SHOWN = "&lt;b&gt;&amp;\\u202e"


class KeysTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.USER)

    def add(self, status=303, **form):
        return self.browser.send("/keys", form, action="/keys", status=status)

    def test_a_key_is_pasted_shown_and_revoked(self):
        self.assertIn(b"No key is registered", self.browser.get("/keys").body)
        self.add(public_key=f"{KEY} me@here\n", title=CANARY, expires_at="2099-12-31")
        (key,) = self.store.read(keys.list_page).items
        self.assertEqual(key.user_id, self.people[Role.USER].id)
        self.assertEqual(key.expires_at.isoformat(), "2099-12-31T23:59:59+00:00")
        page = self.browser.get("/keys").body.decode()
        self.assertIn(SHOWN, page)
        self.assertIn(key.fingerprint, page)
        ask = f"/keys/{key.id}/revoke"
        self.assertIn(f'data-dialog href="{ask}"', page)
        self.assertIn(f"<h1>Revoke the key {SHOWN}?</h1>", self.browser.get(ask).body.decode())
        self.assertEqual(len(self.store.read(keys.list_page).items), 1)
        self.assertEqual(self.browser.send(ask).headers["location"], "/keys")
        self.assertEqual(self.store.read(keys.list_page).items, ())

    def test_what_is_wrong_is_said_and_what_was_typed_stays(self):
        for form, text in [
            ({"public_key": " ", "title": CANARY}, "paste a public key"),
            ({"public_key": "<nonsense>", "title": CANARY}, "public_key-error"),
            ({"public_key": KEY, "title": CANARY, "expires_at": "2001-01-01"}, "in the future"),
            ({"public_key": KEY, "title": CANARY, "expires_at": "soon"}, "fault"),
        ]:
            page = self.add(status=422, **form).body.decode()
            self.assertIn(text, page)
            self.assertIn(html.escape(form["public_key"]), page)
            self.assertIn(f'value="{html.escape(CANARY)}"', page)
        self.assertEqual(self.store.read(keys.list_page).items, ())

    def test_another_ones_key_is_not_there(self):
        other = self.people[Role.AUDITOR]
        key = self.store.write(keys.create, user_id=other.id, public_key=KEY)
        self.assertNotIn(key.fingerprint.encode(), self.browser.get("/keys").body)
        proof = self.csrf()
        answer = self.browser.ask("POST", f"/keys/{key.id}/revoke", {"csrf": proof})
        self.assertEqual(answer.status, 404)
        self.assertEqual(len(self.store.read(keys.list_page).items), 1)

    def csrf(self):
        page = self.browser.get("/keys").body.decode()
        return page.split('name="csrf" value="')[1].split('"')[0]


class SessionsTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.pod = self.store.write(
            pods.register,
            pods.Registration(
                name="pod-1", version="1", ssh_address="x:1", connectors_address="x:2"
            ),
        )
        self.browser = self.signed_in(Role.USER)

    def start(self, role):
        return self.store.write(
            sessions.start,
            self.people[role],
            Method.KEY,
            sessions.LoginRecord("x", "192.0.2.7", CANARY, self.pod.id),
        )

    def test_open_ones_and_their_end(self):
        session = self.start(Role.USER)
        other = self.start(Role.AUDITOR)
        page = self.browser.get("/sessions").body.decode()
        self.assertIn(session.id, page)
        self.assertNotIn(other.id, page)
        self.assertIn(SHOWN, page)
        ask = f"/sessions/{session.id}/end"
        self.assertIn(f'data-dialog href="{ask}"', page)
        self.assertIn(b"End the session from 192.0.2.7?", self.browser.get(ask).body)
        self.browser.get(f"/sessions/{other.id}/end", 404)
        self.assertEqual(self.live.ended, [])
        self.browser.send(ask)
        self.assertEqual(self.live.ended, [(session.id, "ended by the-user")])

    def test_past_ones(self):
        session = self.start(Role.USER)
        self.store.write(sessions.end, session.id, reason=CANARY)
        page = self.browser.get("/sessions").body.decode()
        self.assertNotIn(f"/sessions/{session.id}/end", page)
        self.assertIn(f'<td data-label="Why it ended">{SHOWN}</td>', page)

    def test_what_was_refused_and_why(self):
        for role in (Role.USER, Role.AUDITOR):
            user = self.people[role]
            event = AuditEvent(
                "channel.refused",
                user_id=user.id,
                user_name=user.name,
                source_ip="192.0.2.7",
                data={"destination": "db", "port": 1, "reason": f"{CANARY} {role}"},
            )
            self.store.write(Transaction.audit, event)
        page = self.browser.get("/sessions").body.decode()
        self.assertIn(f"{SHOWN} user", page)
        self.assertNotIn(f"{SHOWN} auditor", page)
        self.assertIn("db:1", page)

    def test_what_would_help_and_which_client_it_was(self):
        session = self.start(Role.USER)
        user = self.people[Role.USER]
        for event, where, data in [
            (
                "channel.refused",
                {"session_id": session.id},
                {"destination": "db", "port": 1, "reason": "db: port 1 is not published (2 is)"},
            ),
            (
                "login.refused",
                {},
                {
                    "login_name": "tcptunnel@db",
                    "method": "token",
                    "client_version": "PuTTY_0.78",
                    "reason": "this one-time token was used at 12:00",
                },
            ),
        ]:
            one = AuditEvent(event, user_id=user.id, user_name=user.name, data=data, **where)
            self.store.write(Transaction.audit, one)
        page = self.browser.get("/sessions").body.decode()
        refused = page.partition('aria-label="Refused"')[2].partition("</table>")[0]
        self.assertIn("Login as tcptunnel@db with a one-time token", refused)
        self.assertIn("PuTTY_0.78", refused)
        self.assertIn("Get a new one", refused)
        self.assertIn(f'<span class="hint">{SHOWN}</span>', refused)
        self.assertIn("Use one of the ports", refused)

    def test_how_long(self):
        for ended, text in [
            ("2026-03-02T09:00:59+00:00", "59 s"),
            ("2026-03-02T09:01:00+00:00", "1 min"),
            ("2026-03-03T10:05:00+00:00", "25 h 5 min"),
            ("2026-03-02T08:00:00+00:00", "0 s"),
        ]:
            self.assertEqual(duration("2026-03-02T09:00:00+00:00", ended), text)

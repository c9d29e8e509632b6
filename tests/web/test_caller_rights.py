"""Who was let in, and may no more when what they asked for is written."""

import re
from collections import Counter
from pathlib import Path

import tunnelcloud.web
from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.net.allowance import Allowances
from tunnelcloud.store import api_tokens, audit, tokens, users
from tunnelcloud.store.revocations import Cause, end_access

UNCHECKED = {
    # Nobody has shown a credential yet, or it ends with this.
    "portal/pages/invitations.py": 1,
    "portal/pages/provider_sign_in.py": 2,
    "portal/pages/sign_in.py": 2,
    "portal/sign_in_cookies.py": 2,
    "resources/device_logins.py": 2,
    # When a token was used is noted aside.
    "authentication.py": 1,
    # The one door of everybody else.
    "resources/context.py": 1,
}
_UNCHECKED = re.compile(r"(?:context|self)\.store(?:\.aside\(\))?\.(?:write|acting)\(")


class LateWriteTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.store.write(users.create, name="second", role=Role.ADMIN)
        self.ending = None
        real = type(self.store).write_unless

        def late(store, fate, function, *args, **kwargs):
            ending, acting = self.ending, store.actor.id is not None
            if acting and ending is not None:
                self.ending = None
                self.store.write(ending)
                self.before = self.store.read(audit.list_page, limit=1).items
            return real(store, fate, function, *args, **kwargs)

        self.patch(type(self.store), "write_unless", late)

    def refused(self, ending, method, path, body=None, role=Role.ADMIN, expect=401):
        """Ask for something; when it is written, something else has just ended the right to it."""
        self.ending = ending
        answer = self.api(method, path, body, role=role, expect=expect)
        self.assertIsNone(self.ending, "something was to be written")
        self.assertEqual(self.store.read(audit.list_page, limit=1).items, self.before)
        return answer

    def block(self, role):
        user_id = self.people[role].id
        return lambda transaction: users.update(transaction, user_id, {"blocked": True})

    def end_others(self, transaction):
        end_access(transaction, self.people[Role.USER], Cause.OTHERS_ENDED)

    def demote(self, transaction):
        users.update(transaction, self.people[Role.ADMIN].id, {"role": Role.USER})

    def delete_token_of_nobody(self, transaction):
        (found,) = api_tokens.list_page(transaction, q="of nobody").items
        api_tokens.delete(transaction, found.id)

    def test_a_token_that_has_ended_makes_no_other(self):
        self.refused(self.end_others, "POST", "/me/tokens", {}, Role.USER)
        self.store.write(self.give_a_token)
        self.refused(self.block(Role.USER), "POST", "/me/tokens", {}, Role.USER)
        self.assertEqual(self.store.read(tokens.list_page).items, ())

    def give_a_token(self, transaction):
        api_tokens.create(
            transaction,
            title="again",
            role=Role.USER,
            secret_hash=hash_secret(self.secrets[Role.USER]),
            user_id=self.people[Role.USER].id,
        )

    def test_an_administrator_who_is_none_any_more(self):
        problem = self.refused(self.demote, "POST", "/users", {"name": "eve"}, expect=403)
        self.assertIn("your role was lowered", problem["detail"])

    def test_a_token_of_nobody(self):
        made = self.api("POST", "/api-tokens", {"title": "of nobody", "role": "admin"})
        self.secrets["nobody"] = made["token"]
        self.refused(self.delete_token_of_nobody, "POST", "/sites", {"name": "x"}, "nobody")
        made = self.api("POST", "/api-tokens", {"title": "of nobody", "role": "admin"})
        self.secrets["nobody"] = made["token"]
        self.api("POST", "/sites", {"name": "x"}, role="nobody")

    def test_who_is_signed_out_lets_no_command_line_in(self):
        begun = self.api("POST", "/device-logins", {"client": "x"}, role=None)
        browser = self.signed_in(Role.USER)
        browser.send("/device", {"code": begun["user_code"]}, "/device")
        self.ending = self.end_others
        answer = browser.send("/device", {"answer": "allow"}, "/device/decide", status=403)
        self.assertIn(b"ou are signed out", answer.body)
        polled = self.api(
            "POST", "/device-logins/token", {"device_code": begun["device_code"]}, role=None
        )
        self.assertEqual(polled["status"], "pending")

    def test_what_a_request_ends_itself_is_ended(self):
        self.api("DELETE", "/me/api-token", role=Role.USER)
        self.api("GET", "/me", role=Role.USER, expect=401)
        myself = f"/users/{self.people[Role.ADMIN].id}"
        self.api("PATCH", myself, {"role": "auditor"})
        self.api("PATCH", myself, {"title": "x"}, expect=403)

    def test_a_user_changes_so_much_at_once(self):
        """Each change is audited for good; an administrator isn't counted."""
        self.patch(self.context.paces, "_allowances", Allowances(self.clock, 2, 1))
        for role, last in ((Role.USER, 429), (Role.AUDITOR, 429), (Role.ADMIN, 201)):
            for expect in (201, 201, last):
                self.api("POST", "/me/tokens", {}, role=role, expect=expect)
        self.api("GET", "/me/tokens", role=Role.USER)
        self.clock.advance(1)
        self.api("POST", "/me/tokens", {}, role=Role.USER, expect=201)

    def test_who_uses_a_stolen_token_up_is_ended_all_the_same(self):
        self.patch(self.context.paces, "_allowances", Allowances(self.clock, 2, 1))
        for expect in (201, 201, 429):
            self.api("POST", "/me/tokens", {}, role=Role.USER, expect=expect)
        browser = self.signed_in(Role.USER)
        browser.send("/account/sign-ins/end-others", {})
        self.api("GET", "/me", role=Role.USER, expect=401)
        browser.send("/account/sign-ins/end-others", {})
        answer = browser.send("/account/sign-ins/end-others", {}, status=429)
        self.assertIn(b"ou change things faster", answer.body)

    def test_everything_else_is_written_by_who_is_checked(self):
        """Whoever writes ``context.store.write`` says in the table above why nobody is checked."""
        top = Path(tunnelcloud.web.__file__).parent
        found = Counter(
            {
                str(path.relative_to(top)): len(_UNCHECKED.findall(path.read_text("utf-8")))
                for path in top.rglob("*.py")
            }
        )
        self.assertEqual(+found, Counter(UNCHECKED))

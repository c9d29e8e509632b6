"""A second factor: enrolled, asked for, refused a second time, recovered from, removed."""

import base64
import html
import re
import time

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.web.portal.browser import PASSWORD, Browser, PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import audit, second_factors, users, web_sessions
from tunnelcloud.store.refusals import EACH_OF_A_SOURCE
from tunnelcloud.web.portal import passwords
from tunnelcloud.web.portal.passwords import hash_password

FACTOR = "/account/second-factor"


class Authenticator:
    """The program on somebody's phone; each code it shows is of a later step than the last."""

    def __init__(self, secret):
        self._totp = TOTP(base64.b32decode(secret.replace(" ", "")), 6, SHA1(), 30)
        self._last = 0

    def code(self, steps=0):
        """Show a code; not one whose step is over before it has been read."""
        left = 30 - time.time() % 30
        if left < 3:
            time.sleep(left)
        return self._totp.generate(time.time() + 30 * steps).decode()


class SecondFactorCase(PortalTestCase):
    def enrol(self, browser, password=PASSWORD):
        """Enrol as a person does; give the authenticator and the recovery codes."""
        browser.send("/account", {"factor-current": password}, action=FACTOR)
        page = browser.get(FACTOR).body.decode()
        self.assertIn("<svg", page)
        secret = re.search(r'<pre id="secret">([^<]+)</pre>', page)[1]
        self.assertIn(html.escape(secret.replace(" ", "")), page)
        phone = Authenticator(secret)
        # The step before now: the codes of now and of the next one are still to be used.
        done = browser.send_on(FACTOR, {"code": phone.code(-1)}, f"{FACTOR}/confirm")
        codes = re.search(r'<pre id="codes">([^<]+)</pre>', done.body.decode())[1].split()
        self.assertEqual(len(codes), 10)
        return phone, codes

    def half_signed_in(self, name="the-user"):
        browser = Browser(self)
        answer = browser.sign_in(name)
        self.assertEqual(answer.headers["location"], "/sign-in/code")
        self.assertNotIn("__Host-tunnelcloud", browser.cookies)
        return browser

    def type_code(self, browser, code, status=303):
        return browser.send("/sign-in/code", {"code": code}, "/sign-in/code", status=status)

    def events(self, name):
        return [found.event for found in self.store.read(audit.list_page, event=name).items]


class SecondFactorTests(SecondFactorCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.USER)

    def test_signing_in_takes_the_code_too(self):
        phone, _ = self.enrol(self.browser)
        browser = Browser(self)
        browser.send("/sign-in?next=%2Fkeys", {"name": "the-user", "password": PASSWORD})
        browser.get("/keys", 303)
        step = browser.cookies["__Host-tunnelcloud-step"]
        answer = self.type_code(browser, phone.code())
        self.assertEqual(answer.headers["location"], "/keys")
        browser.get("/keys")
        self.assertNotIn("__Host-tunnelcloud-step", browser.cookies)
        self.assertNotEqual(browser.cookies["__Host-tunnelcloud"], step)
        self.assertEqual(
            self.events("web_login.succeeded")[0].data, {"method": "password and code"}
        )

    def test_a_code_is_refused_the_second_time(self):
        phone, _ = self.enrol(self.browser)
        code = phone.code()
        self.type_code(self.half_signed_in(), code)
        other = self.half_signed_in()
        page = self.type_code(other, code, status=422).body
        self.assertIn(b"was used before", page)
        other.get("/", 303)
        self.type_code(other, phone.code(1))
        other.get("/")

    def test_the_code_that_confirmed_it_signs_nobody_in(self):
        phone, _ = self.enrol(self.browser)
        self.type_code(self.half_signed_in(), phone.code(-1), status=422)

    def test_half_a_sign_in_serves_once_and_ends_with_the_password(self):
        phone, _ = self.enrol(self.browser)
        browser = self.half_signed_in()
        kept = dict(browser.cookies)
        self.type_code(browser, phone.code())
        again = Browser(self, cookies=kept)
        self.assertEqual(again.get("/sign-in/code", 303).headers["location"], "/sign-in")
        other = self.half_signed_in()
        self.store.write(users.set_password, self.people[Role.USER].id, "$argon2id$x")
        other.get("/sign-in/code", 303)

    def test_nobody_gets_to_the_code_without_the_password(self):
        self.enrol(self.browser)
        self.assertEqual(Browser(self).get("/sign-in/code", 303).headers["location"], "/sign-in")
        Browser(self).sign_in("the-user", "wrong", status=422)

    def test_half_a_sign_in_is_none(self):
        """The secret of the step opens nothing, wherever a browser puts it."""
        self.enrol(self.browser)
        browser = self.half_signed_in()
        step = browser.cookies["__Host-tunnelcloud-step"]
        for name in ("__Host-tunnelcloud", "__Host-tunnelcloud-form", "tunnelcloud"):
            browser.cookies[name] = step
        browser.get("/", 303)
        browser.get("/account", 303)

    def test_a_wrong_password_looks_the_same_with_and_without_one(self):
        """Nobody learns without the password who has a second factor, or who there is."""
        self.enrol(self.browser)
        self.store.write(users.update, self.people[Role.AUDITOR].id, {"blocked": True})
        calls = []
        for kind in ("read_soon", "write_soon"):
            self.watch(kind, calls)
        found = set()
        for name in ("the-user", "the-admin", "the-auditor", "nobody"):
            calls.clear()
            answer = Browser(self).sign_in(name, "wrong", status=422)
            page = answer.body.decode().replace(name, "NAME").split('name="csrf"')
            found.add((page[0], tuple(calls)))
        self.assertEqual(len(found), 1)

    def watch(self, kind, calls):
        """Note each call of the store: what isn't done can't be timed."""
        real = getattr(type(self.store), kind)

        def noted(store, *args, **kwargs):
            calls.append(kind)
            return real(store, *args, **kwargs)

        self.patch(type(self.store), kind, noted)

    def test_a_user_who_was_blocked_meanwhile(self):
        phone, _ = self.enrol(self.browser)
        browser = self.half_signed_in()
        page = browser.get("/sign-in/code").body.decode()
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        self.store.write(users.update, self.people[Role.USER].id, {"blocked": True})
        answer = browser.ask("POST", "/sign-in/code", {"csrf": csrf, "code": phone.code()})
        self.assertEqual(answer.headers["location"], "/sign-in")
        self.assertNotIn("__Host-tunnelcloud", browser.cookies)

    def test_recovery_codes(self):
        _, codes = self.enrol(self.browser)
        self.type_code(self.half_signed_in(), codes[0].upper().replace("-", " "))
        self.type_code(self.half_signed_in(), codes[0], status=422)
        self.assertIn(b"9 recovery codes left", self.browser.get("/account").body)
        page = self.browser.send_on("/account", {"code": codes[1]}, "/account/recovery-codes")
        fresh = re.search(r'<pre id="codes">([^<]+)</pre>', page.body.decode())[1].split()
        self.type_code(self.half_signed_in(), codes[2], status=422)
        self.type_code(self.half_signed_in(), fresh[0])

    def test_guessing_is_slowed_and_a_recovery_code_still_gets_in(self):
        phone, codes = self.enrol(self.browser)
        right = phone.code()
        browser = self.half_signed_in()
        for _ in range(second_factors.FREE_FAILURES):
            self.type_code(browser, "000000", status=422)
        for _ in range(6):
            self.store.write(second_factors.failed, self.people[Role.USER].id)
        answer = self.type_code(browser, right, status=429)
        self.assertGreater(int(answer.headers["retry-after"]), 30)
        self.type_code(browser, codes[0])
        browser.get("/")
        refused = self.events("web_login.refused")
        self.assertEqual(refused[0].data["reason"], "wrong code")

    def test_guesses_are_summed_up_in_the_audit(self):
        self.enrol(self.browser)
        browser = self.half_signed_in()
        for number in range(EACH_OF_A_SOURCE + 5):
            early = number >= second_factors.FREE_FAILURES
            self.type_code(browser, "000000", status=429 if early else 422)
        self.assertEqual(len(self.events("web_login.refused")), EACH_OF_A_SOURCE)

    def test_removing_it_takes_a_code(self):
        phone, _ = self.enrol(self.browser)
        remove = f"{FACTOR}/remove"
        fields = {"code": "000000"}
        csrf = re.search(r'name="csrf" value="([^"]+)"', self.browser.get("/account").body.decode())
        fields["csrf"] = csrf[1]
        self.assertEqual(self.browser.ask("POST", remove, fields).status, 422)
        (refused,) = self.events("user.proof_refused")
        self.assertEqual(refused.data, {"reason": "wrong code"})
        alice = self.people[Role.USER]
        self.assertEqual((refused.actor_id, refused.user_id), (alice.id, alice.id))
        self.assertEqual(refused.source_ip, "192.168.1.1")
        fields["code"] = phone.code()
        self.assertEqual(self.browser.ask("POST", remove, fields).status, 303)
        Browser(self).sign_in("the-user")

    def test_an_administrator_resets_it(self):
        self.enrol(self.browser)
        path = f"/users/{self.people[Role.USER].id}/second-factor"
        self.api("DELETE", path, role=Role.USER, expect=403)
        self.api("DELETE", path)
        self.api("DELETE", path, expect=404)
        self.assertEqual(Browser(self).sign_in("the-user").headers["location"], "/")
        self.assertEqual(self.events("user.second_factor_removed")[0].actor, "the-admin")

    def test_an_administrator_resets_it_from_a_page(self):
        admin = self.signed_in(Role.ADMIN)
        path = f"/admin/users/{self.people[Role.USER].id}"
        self.assertIn(b"None. They add one", admin.get(f"{path}/settings").body)
        self.enrol(self.browser)
        settings = f"{path}/settings"
        self.assertNotIn(b"Remove it", self.signed_in(Role.AUDITOR).get(settings).body)
        self.assertIn(f'href="{path}/second-factor/remove"', admin.get(settings).body.decode())
        admin.send(f"{path}/second-factor/remove")
        self.assertEqual(Browser(self).sign_in("the-user").headers["location"], "/")

    def test_enrolling_takes_the_password(self):
        self.browser.send("/account", {"factor-current": "wrong"}, FACTOR, status=422)
        self.browser.get(FACTOR, 303)

    def test_an_enrolment_takes_a_right_code(self):
        self.browser.send("/account", {"factor-current": PASSWORD}, action=FACTOR)
        page = self.browser.send(FACTOR, {"code": "000000"}, f"{FACTOR}/confirm", status=422)
        self.assertIn(b"The code is wrong", page.body)
        self.assertEqual(Browser(self).sign_in("the-user").headers["location"], "/")

    def test_a_link_to_set_a_password_is_no_way_around_it(self):
        phone, _ = self.enrol(self.browser)
        user = self.people[Role.USER]
        url = self.api("POST", f"/users/{user.id}/invitations")["url"]
        browser = Browser(self)
        form = {"password": "another long one", "again": "another long one"}
        answer = browser.send(url.removeprefix(self.context.web_url), form)
        self.assertEqual(answer.headers["location"], "/sign-in/code")
        browser.get("/", 303)
        self.type_code(browser, phone.code())
        browser.get("/")

    def test_the_database_does_not_hold_the_secret(self):
        phone, codes = self.enrol(self.browser)
        secret = phone._totp._hotp._key
        dump = b""
        state = self.store.backend
        for path in state.path.parent.iterdir() if hasattr(state, "path") else []:
            dump += path.read_bytes()
        rows = self.store.read(
            lambda transaction: [
                bytes(str(row), "utf-8")
                for table in ("second_factors", "recovery_codes", "audit")
                for row in transaction.connection.exec_driver_sql(f"SELECT * FROM {table}")
            ]
        )
        dump += b"".join(rows)
        self.assertNotEqual(dump, b"")
        self.assertNotIn(secret, dump)
        self.assertNotIn(repr(secret).encode()[2:-1], dump)
        self.assertNotIn(base64.b32encode(secret), dump)
        self.assertNotIn(codes[0].replace("-", "").encode(), dump)


class AccountTests(SecondFactorCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.USER)

    def test_the_password_is_changed_by_who_knows_it(self):
        other = self.signed_in(Role.USER)
        new = "another long one"
        action = "/account/password"
        form = {"current": "wrong", "password": new, "again": new}
        page = self.browser.send("/account", form, action, status=422).body
        self.assertIn(b"this is not your password", page)
        self.assertEqual(self.events("user.proof_refused")[0].data, {"reason": "wrong password"})
        form = {"current": PASSWORD, "password": "short", "again": "short"}
        self.browser.send("/account", form, action, status=422)
        self.browser.send("/account", {**form, "password": new, "again": new}, action)
        self.browser.get("/account")
        other.get("/", 303)
        Browser(self).sign_in("the-user", status=422)
        Browser(self).sign_in("the-user", new)

    def test_of_two_changes_at_once_the_second_is_told(self):
        """The old password was right when it was compared, and is none when the new is written."""
        user_id, real = self.people[Role.USER].id, passwords.hash_password
        (sign_in,) = self.store.read(web_sessions.list_page).items
        first = hash_password("the first one wins", bytes(16))

        def slow_hash(password, salt):
            self.store.write(users.set_password, user_id, first, staying=sign_in.id)
            return real(password, salt)

        self.patch(passwords, "hash_password", slow_hash)
        form = {"current": PASSWORD, "password": "another long one", "again": "another long one"}
        page = self.browser.send("/account", form, "/account/password", status=409).body
        self.assertIn(b"your password was changed meanwhile", page)
        self.assertEqual(self.store.read(users.password_hash, user_id), first)

    def test_guessing_the_password_from_a_stolen_session_is_slowed(self):
        form = {"current": "wrong", "password": "another long one", "again": "another long one"}
        for _ in range(5):
            self.browser.send("/account", form, "/account/password", status=422)
        form["current"] = PASSWORD
        page = self.browser.send("/account", form, "/account/password", status=422).body
        self.assertIn(b"too many attempts", page)

    def test_other_sign_ins_are_shown_and_ended(self):
        other, third = self.signed_in(Role.USER), self.signed_in(Role.USER)
        page = self.browser.get("/account").body.decode()
        self.assertEqual(page.count("this browser"), 1)
        action = re.search(r'action="(/account/sign-ins/web_[^"]+/end)"', page)[1]
        self.browser.send("/account", action=action)
        self.assertEqual(sorted(one.get_status("/") for one in (other, third)), [200, 303])
        self.browser.send("/account/sign-ins/end-others")
        self.assertEqual([one.get_status("/") for one in (other, third)], [303, 303])
        self.browser.get("/account")

    def test_nobody_ends_what_is_another_persons(self):
        admin = self.signed_in(Role.ADMIN)
        page = self.browser.get("/account").body.decode()
        self.signed_in(Role.USER)
        page = self.browser.get("/account").body.decode()
        theirs = re.search(r'action="(/account/sign-ins/web_[^"]+/end)"', page)[1]
        csrf = re.search(r'name="csrf" value="([^"]+)"', admin.get("/account").body.decode())[1]
        self.assertEqual(admin.ask("POST", theirs, {"csrf": csrf}).status, 404)

    def test_command_lines_are_shown_and_signed_out(self):
        page = self.browser.get("/account").body.decode()
        action = re.search(r'href="(/account/command-lines/api_[^"]+/end)"', page)[1]
        self.assertIn(b"Sign this command line out?", self.browser.get(action).body)
        self.browser.send(action)
        self.assertEqual(self.ask("GET", "/api/v1/me", role=Role.USER).status, 401)

    def test_a_token_signs_itself_out(self):
        self.api("DELETE", "/me/api-token", role=Role.USER)
        self.assertEqual(self.ask("GET", "/api/v1/me", role=Role.USER).status, 401)
        (theirs,) = self.api("GET", "/me/api-tokens")["items"]
        self.api("DELETE", f"/me/api-tokens/{theirs['id']}", role=Role.AUDITOR, expect=404)

"""Signing in and out, and the links that let people choose a password."""

from datetime import timedelta

from sqlalchemy import update

from tests.web.portal.browser import PASSWORD, Browser, Forms, PortalTestCase
from tests.web.support import ApiTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import audit, schema, users, web_sessions
from tunnelcloud.web import worker
from tunnelcloud.web.portal.invitations import first_administrator_link
from tunnelcloud.web.portal.pages.sign_in import local_path
from tunnelcloud.web.portal.password_attempts import FREE_FOR_A_NAME


def _age(transaction, seconds):
    """Make all sign-ins as old as that."""
    seen = transaction.now() - timedelta(seconds=seconds)
    transaction.connection.execute(update(schema.web_sessions).values(last_seen_at=seen))


class SignInTests(PortalTestCase):
    def events(self, name):
        return [found.event for found in self.store.read(audit.list_page, event=name).items]

    def test_the_first_page_is_to_sign_in(self):
        answer = Browser(self).get("/?q=db", 303)
        self.assertEqual(answer.headers["location"], "/sign-in?next=%2F%3Fq%3Ddb")

    def test_signing_in_leads_where_one_wanted_to_go(self):
        browser = Browser(self)
        form = {"name": "THE-USER", "password": PASSWORD}
        answer = browser.send("/sign-in?next=%2Fsessions", form)
        self.assertEqual(answer.headers["location"], "/sessions")
        self.assertEqual(self.events("web_login.succeeded")[0].user_name, "the-user")

    def test_a_script_that_is_led_to_it_takes_nobodys_form_away(self):
        """A signed-out page follows changes, while its visitor loads the form beside it."""
        browser, script = Browser(self), Browser(self)
        page = Forms(browser.get("/sign-in").body.decode()).forms[0][1]
        script.ask("GET", "/sign-in?next=%2Flive", headers={"Sec-Fetch-Mode": "cors"})
        browser.cookies |= script.cookies
        filled = {**dict(page), "name": "the-user", "password": PASSWORD}
        self.assertEqual(browser.ask("POST", "/sign-in", filled).status, 303)

    def test_a_browser_that_says_how_it_asks(self):
        browser = Browser(self)
        browser.ask("GET", "/sign-in", headers={"Sec-Fetch-Mode": "navigate"})
        self.assertEqual(browser.sign_in("the-user").status, 303)

    def test_the_cookie_is_for_this_host_and_no_script(self):
        answer = Browser(self).sign_in("the-user")
        cookie = next(one for one in answer.cookies if one.startswith("__Host-tunnelcloud="))
        for word in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"]:
            self.assertIn(word, cookie.split("; "))
        self.assertNotIn("Domain", cookie)

    def test_what_a_crowd_kept_from_being_compared_is_no_failure(self):
        browser = Browser(self)
        form = {"name": "the-user", "password": PASSWORD}
        most = worker.MAX_WAITING
        for _ in range(FREE_FOR_A_NAME + 1):
            page = Forms(browser.get("/sign-in").body.decode()).forms[0][1]
            self.patch(worker, "MAX_WAITING", 0)
            filled = {**dict(page), **form}
            self.assertEqual(browser.ask("POST", "/sign-in", filled).status, 503)
            self.patch(worker, "MAX_WAITING", most)
        self.assertEqual(browser.send("/sign-in", form).status, 303)

    def test_only_the_hash_of_the_cookie_is_kept(self):
        browser = self.signed_in(Role.USER)
        secret = browser.cookies["__Host-tunnelcloud"]
        found = self.store.read(web_sessions.authenticate, hash_secret(secret))
        self.assertEqual(found[1].name, "the-user")

    def test_a_sign_in_gets_a_secret_of_its_own_and_ends_the_former(self):
        browser = self.signed_in(Role.USER)
        former = browser.cookies["__Host-tunnelcloud"]
        fields = dict(Forms(browser.get("/").body.decode()).forms[0][1])
        browser.ask(
            "POST",
            "/sign-in",
            {"csrf": fields["csrf"], "name": "the-user", "password": PASSWORD},
        )
        self.assertNotEqual(browser.cookies["__Host-tunnelcloud"], former)
        self.assertIsNone(self.store.read(web_sessions.authenticate, hash_secret(former)))

    def test_what_is_wrong_is_not_told_apart(self):
        self.store.write(users.create, name="without-password")
        robot = self.store.write(users.create, name="robot", service=True)
        self.store.write(users.set_password, robot.id, "$argon2id$x")
        pages = set()
        for name, password in [
            ("the-user", "wrong"),
            ("nobody", PASSWORD),
            ("without-password", ""),
            ("robot", PASSWORD),
        ]:
            answer = Browser(self).sign_in(name, password, status=422)
            text = answer.body.decode().replace(name, "NAME")
            pages.add(text[text.index("<h1>") :].split('name="csrf"')[0])
        self.assertEqual(len(pages), 1)
        self.assertIn("The name or the password is wrong.", pages.pop())
        self.assertEqual(len(self.events("web_login.refused")), 4)

    def test_a_guesser_waits_and_nobody_else(self):
        browser = Browser(self)
        for _ in range(5):
            browser.sign_in("the-user", "wrong", status=422)
        answer = browser.sign_in("the-user", status=429)
        self.assertEqual(answer.headers["retry-after"], "1")
        self.assertIn(b"try again in 1 s", answer.body)
        Browser(self).sign_in("the-auditor")
        self.clock.advance(1)
        browser.sign_in("the-user")

    def test_a_page_that_keeps_itself_fresh_keeps_nobody_signed_in(self):
        browser = self.signed_in(Role.ADMIN)

        def seen():
            (found,) = self.store.read(web_sessions.list_page).items
            return found.last_seen_at

        began = seen()
        self.store.write(_age, 600)
        aged = seen()
        self.assertLess(aged, began)
        browser.ask("GET", "/live")
        self.assertEqual(seen(), aged)
        browser.get("/admin/sessions")
        self.assertGreater(seen(), aged)

    def test_signing_out_ends_it(self):
        browser = self.signed_in(Role.USER)
        secret = browser.cookies["__Host-tunnelcloud"]
        browser.send("/", action="/sign-out")
        self.assertNotIn("__Host-tunnelcloud", browser.cookies)
        self.assertIsNone(self.store.read(web_sessions.authenticate, hash_secret(secret)))
        self.assertEqual(self.events("web_login.ended")[0].data, {"reason": "signed out"})

    def test_a_blocked_user_is_out_at_once(self):
        browser = self.signed_in(Role.USER)
        self.store.write(users.update, self.people[Role.USER].id, {"blocked": True})
        browser.get("/", 303)

    def test_a_form_that_is_not_ours_changes_nothing(self):
        browser = self.signed_in(Role.USER)
        for form in [{}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "\u00e9"}]:
            self.assertEqual(browser.ask("POST", "/sign-out", form).status, 403)
        browser.get("/")

    def test_somebody_else_cannot_sign_a_browser_in(self):
        form = {"csrf": "0" * 64, "name": "the-user", "password": PASSWORD}
        answer = Browser(self).ask("POST", "/sign-in", form)
        self.assertEqual(answer.status, 403)
        self.assertIn(b"https://portal.example.com", answer.body)

    def test_pages_are_protected(self):
        for path, status in [("/sign-in", 200), ("/", 303), ("/nothing", 404)]:
            headers = Browser(self).get(path, status).headers
            self.assertIn("frame-ancestors 'none'", headers["content-security-policy"])
            self.assertIn("default-src 'self'", headers["content-security-policy"])
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.assertEqual(headers["referrer-policy"], "no-referrer")

    def test_what_cannot_be_a_form(self):
        for headers, data, status in [
            ("Content-Type: application/json\r\nContent-Length: 2", "{}", 415),
            ("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 5", "a=%ff", 400),
        ]:
            raw = f"POST /sign-in HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{data}"
            self.assertEqual(self.raw(raw.encode()).status, status)

    def test_where_signing_in_leads(self):
        for given, then in [
            ("/keys?x=1", "/keys?x=1"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("/a\r\nb", "/"),
            ("//[", "/"),
            ("/x//[v1.x", "/x//[v1.x"),
            ("//[x]/", "/"),
            ("//\u2100.example", "/"),
            ("", "/"),
        ]:
            self.assertEqual(local_path(given), then)

    def test_a_place_that_is_no_address_is_no_fault_of_the_pods(self):
        for given in ("//[", "//[x]", "//%E2%84%80", "https://[/"):
            self.assertEqual(Browser(self).get(f"/sign-in?next={given}").status, 200, given)


class PlainHttpTests(PortalTestCase):
    web_url = "http://pod.example.com:8080"

    def test_beyond_loopback_it_says_why_it_cannot_work(self):
        page = Browser(self, host="pod.example.com:8080").get("/sign-in").body
        self.assertIn(b"can't work here", page)
        self.assertNotIn(b"<form", page)

    def test_on_loopback_it_works(self):
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"]:
            browser = Browser(self, host=host)
            browser.sign_in("the-user")
            self.assertIn("tunnelcloud", browser.cookies)
            browser.get("/")


class FirstAdministratorTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.store.write(users.USERS.delete, self.people[Role.ADMIN].id)

    def link(self):
        url = first_administrator_link(self.store, "https://portal.example.com")
        return url.removeprefix("https://portal.example.com")

    def test_the_link_makes_an_administrator_once(self):
        link = self.link()
        form = {"name": "ada", "password": PASSWORD, "again": PASSWORD}
        browser = Browser(self)
        answer = browser.send(link, form)
        self.assertEqual(answer.headers["location"], "/admin")
        self.assertEqual(self.store.read(users.find, "ada").role, Role.ADMIN)
        Browser(self).get(link, 410)
        Browser(self).sign_in("ada")

    def test_the_sign_in_page_says_where_it_is(self):
        link, browser = self.link(), Browser(self)
        page = browser.get("/sign-in").body.decode()
        self.assertIn("No administrator can sign in yet", page)
        self.assertNotIn("Ask an administrator", page)
        form = {"name": "ada", "password": PASSWORD, "again": PASSWORD}
        Browser(self).send(link, form)
        page = browser.get("/sign-in").body.decode()
        self.assertNotIn("No administrator", page)
        self.assertIn("Ask an administrator", page)

    def test_there_is_none_with_an_administrator(self):
        link = self.link()
        self.store.write(users.create, name="other", role=Role.ADMIN)
        self.assertIsNone(first_administrator_link(self.store, "https://x"))
        Browser(self).get(link, 410)

    def test_a_newer_link_replaces_it(self):
        former, link = self.link(), self.link()
        Browser(self).get(former, 410)
        Browser(self).get(link)

    def test_what_is_wrong_is_said_at_the_field(self):
        link = self.link()
        for form, text in [
            ({"name": "a b", "password": PASSWORD, "again": PASSWORD}, b"name-error"),
            ({"name": "ada", "password": "short", "again": "short"}, b"at least 12 characters"),
            ({"name": "ada", "password": PASSWORD, "again": "x"}, b"not the same"),
            (
                {"name": "the-user", "password": PASSWORD, "again": PASSWORD},
                b"is taken by user the-user",
            ),
        ]:
            answer = Browser(self).send(link, form, status=422)
            self.assertIn(text, answer.body)
        Browser(self).get(link)


class InvitationTests(PortalTestCase):
    def test_a_link_sets_the_password_of_its_user(self):
        user = self.people[Role.USER]
        url = self.api("POST", f"/users/{user.id}/invitations")["url"]
        link = url.removeprefix(self.context.web_url)
        elsewhere = self.signed_in(Role.USER)
        browser = Browser(self)
        answer = browser.send(link, {"password": "another long one", "again": "another long one"})
        self.assertEqual(answer.headers["location"], "/")
        browser.get("/")
        elsewhere.get("/", 303)
        Browser(self).sign_in("the-user", status=422)
        Browser(self).sign_in("the-user", "another long one")

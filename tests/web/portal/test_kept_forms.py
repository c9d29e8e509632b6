"""A sign-in that ends in the middle of a form: what was typed comes back after the next one."""

from datetime import UTC, datetime
from urllib.parse import quote

from sqlalchemy import update

from tests.web.portal.browser import Browser, PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import schema, sites
from tunnelcloud.web.portal.sealed_cookies import UNFINISHED_SECONDS


class UnfinishedTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)
        self.page = self.browser.get("/admin/sites/new").body.decode()
        self.proof = self.page.split('name="csrf" value="')[1][:64]
        self.store.write(self.end_all)

    def end_all(self, transaction):
        past = datetime(2020, 1, 1, tzinfo=UTC)
        transaction.connection.execute(update(schema.web_sessions).values(expires_at=past))

    def send(self, **fields):
        form = {"csrf": self.proof, "name": "paris", "title": "<b>", **fields}
        return self.browser.ask("POST", "/admin/sites/new", form)

    def come_back(self, name="the-admin"):
        self.browser.sign_in(name)
        return self.browser.ask("GET", "/unfinished")

    def test_it_is_sent_after_signing_in(self):
        answer = self.send()
        self.assertEqual(answer.status, 303)
        self.assertEqual(answer.headers["location"], "/sign-in?next=%2Funfinished")
        self.assertIn(b"You were signed out", self.browser.get("/sign-in?next=%2Funfinished").body)
        page = self.come_back().body.decode()
        self.assertIn("<dd>&lt;b&gt;</dd>", page)
        self.assertNotIn(self.proof, page)
        answer = self.browser.send("/unfinished", action="/admin/sites/new")
        self.assertTrue(answer.headers["location"].startswith("/admin/sites/"))
        (site,) = self.store.read(sites.list_page).items
        self.assertEqual((site.name, site.title), ("paris", "<b>"))
        self.assertEqual(self.browser.get_status("/unfinished"), 303)

    def test_a_form_that_only_confirms_is_asked_for_again(self):
        """Its page says what would be done; nothing is done by whoever presses on."""
        with self.subTest("a page that asks"):
            path = "/admin/settings/host-keys/rotate"
            answer = self.browser.ask("POST", path, {"csrf": self.proof, "version": "1"})
            where = f"/sign-in?next={quote(path, safe='')}"
            self.assertEqual((answer.status, answer.headers["location"]), (303, where))
            self.assertIn(b"nothing was done", self.browser.get(where).body)
            self.assertEqual(self.come_back().status, 303)
        with self.subTest("a button in a list"):
            self.store.write(self.end_all)
            path = "/admin/users/usr_x/unblock"
            answer = self.browser.ask("POST", path, {"csrf": self.proof})
            self.assertEqual(answer.status, 403)

    def test_what_a_browser_keeps_is_never_too_long_for_it(self):
        kept = []
        for letter in ("x", "ö", "日", "\U0001f511", '"', "\\", "\n"):
            for count in (500, 600, 900, 1300, 1900, 2500, 2700):
                answer = self.send(title=letter * count)
                cookies = [
                    len(one.split(";")[0])
                    for one in answer.cookies
                    if one.partition("=")[0].endswith("unfinished")
                ]
                self.assertLessEqual(max(cookies, default=0), 3900)
                self.assertEqual(answer.status, 303 if cookies else 403)
                kept.append((letter, count, bool(cookies)))
        self.assertIn(("x", 2500, True), kept)
        self.assertIn(("ö", 1300, True), kept)
        self.assertIn(("日", 1300, False), kept)

    def test_it_can_be_discarded(self):
        self.send()
        self.come_back()
        self.browser.send("/unfinished", action="/unfinished/discard")
        self.assertEqual(self.browser.get_status("/unfinished"), 303)
        self.assertEqual(self.store.read(sites.list_page).items, ())

    def test_nobody_else_gets_it(self):
        self.send()
        self.assertEqual(self.come_back("the-auditor").status, 303)

    def test_it_waits_for_a_while_only(self):
        self.send()
        self.clock.advance(UNFINISHED_SECONDS + 1)
        self.assertEqual(self.come_back().status, 303)

    def test_no_form_of_somebody_else_no_secret_and_nothing_too_long_is_kept(self):
        for fields in ({"csrf": "0" * 64}, {"client_secret": "x"}, {"title": "x" * 3000}):
            self.assertEqual(self.send(**fields).status, 403)
        stranger = Browser(self)
        self.assertEqual(stranger.ask("POST", "/admin/sites/new", {"name": "x"}).status, 403)
        self.assertEqual(self.come_back().status, 303)

"""Confirming an SSH login: what is shown, and what can't be done to somebody."""

from tests.web.portal.browser import Browser, PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import browser_logins, device_logins
from tunnelcloud.store.browser_logins import Decision
from tunnelcloud.store.device_logins import Asking

CODE = "WDJB-MJHT"


class BrowserLoginTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.USER)

    def begin(self, source_ip=None, login_name="the-user", client="OpenSSH_9.2"):
        here = source_ip or self.here()
        asking = Asking(b"secret", CODE, client, here, here, login_name)
        self.assertTrue(self.store.write(browser_logins.begin, asking))

    def here(self):
        """Give the address that the portal sees everybody at."""
        begun = self.api("POST", "/device-logins", {"client": "x"}, role=None)
        return self.store.read(device_logins.find, begun["user_code"]).source_ip

    def decided(self):
        return self.store.read(browser_logins.decision, b"secret")

    def answer(self, answer="allow", status=303, **form):
        path = f"/l/{CODE}"
        return self.browser.send(path, {"answer": answer, **form}, path, status=status)

    def test_it_is_confirmed(self):
        self.begin()
        page = self.browser.get(f"/l/{CODE.lower()}").body.decode()
        for shown in ("Is this your terminal?", CODE, "OpenSSH_9.2", "somebody sent you here"):
            self.assertIn(shown, " ".join(page.split()))
        self.assertNotIn("It comes from another place", page)
        self.assertIs(self.decided(), Decision.NONE_YET)
        self.assertEqual(self.answer().headers["location"], "/sessions")
        self.assertIs(self.decided(), Decision.ALLOWED)
        self.browser.get(f"/l/{CODE}", 404)

    def test_it_is_refused(self):
        for number, answer in enumerate(("deny", "", "x")):
            asking = Asking(b"%d" % number, f"WDJB-MJH{'BCD'[number]}", "x", "192.0.2.1", "x", "x")
            self.store.write(browser_logins.begin, asking)
            path = f"/l/{asking.user_code}"
            self.browser.send(path, {"answer": answer}, path, status=303)
            self.assertIs(
                self.store.read(browser_logins.decision, asking.secret_hash), Decision.DENIED
            )

    def test_whoever_is_not_signed_in_signs_in_first(self):
        self.begin()
        answer = Browser(self).ask("GET", f"/l/{CODE}")
        self.assertEqual(answer.status, 303)
        self.assertIn(f"next=%2Fl%2F{CODE}", answer.headers["location"])

    def test_a_link_that_somebody_was_sent(self):
        """It says from where it comes, and one click is not enough."""
        self.begin(source_ip="203.0.113.66", client="<b>you</b>")
        page = self.browser.get(f"/l/{CODE}").body.decode()
        self.assertIn("It comes from another place than you", page)
        self.assertIn("203.0.113.66", page)
        self.assertNotIn("<b>you", page)
        page = self.answer(status=422).body.decode()
        self.assertIn("Tick the box", page)
        self.assertIs(self.decided(), Decision.NONE_YET)
        self.answer(compared="on")
        self.assertIs(self.decided(), Decision.ALLOWED)

    def test_not_at_all_where_the_pod_is_set_so(self):
        object.__setattr__(self.context, "browser_login", "same-network")
        self.begin(source_ip="203.0.113.66")
        page = self.answer(status=422, compared="on").body.decode()
        self.assertIn("from another network", page)
        self.assertNotIn('value="allow"', page)
        self.assertIs(self.decided(), Decision.NONE_YET)
        self.answer("deny")
        self.assertIs(self.decided(), Decision.DENIED)

    def test_anothers_login_name(self):
        self.begin(login_name="the-admin")
        page = self.answer(status=422).body.decode()
        self.assertIn("It asks to log in as the-admin, and you are signed in as the-user", page)
        self.assertIs(self.decided(), Decision.NONE_YET)

    def test_a_name_that_leaves_it_to_the_browser(self):
        for name in ("tcptunnel", "tcptunnel@db", "THE-USER"):
            asking = Asking(name.encode(), CODE, "x", self.here(), "x", name)
            self.store.write(browser_logins.begin, asking)
            self.answer()
            self.store.write(
                lambda transaction: transaction.connection.exec_driver_sql(
                    "DELETE FROM device_logins"
                )
            )

    def test_guessing_codes_is_slowed(self):
        self.begin()
        for _ in range(5):
            self.browser.get("/l/BBBB-BBBB", 404)
        self.browser.get(f"/l/{CODE}", 429)

    def test_a_code_of_ones_own_pays_for_no_guesses(self):
        """Whoever has one that waits could look at it after every few guesses."""
        self.begin()
        for _ in range(4):
            self.browser.get("/l/BBBB-BBBB", 404)
            self.browser.get(f"/l/{CODE}")
        for _ in range(10):
            self.browser.get(f"/l/{CODE}")
        self.browser.get("/l/BBBB-BBBB", 404)
        self.browser.get(f"/l/{CODE}", 429)

    def test_a_decision_forgets_the_mistakes(self):
        self.begin()
        for _ in range(2):
            for _ in range(4):
                self.browser.get("/l/BBBB-BBBB", 404)
            if self.decided() is Decision.NONE_YET:
                self.answer()

    def test_without_the_proof_of_a_form_nothing_is_decided(self):
        self.begin()
        form = {"answer": "allow"}
        self.assertEqual(self.browser.ask("POST", f"/l/{CODE}", form).status, 403)
        self.assertIs(self.decided(), Decision.NONE_YET)

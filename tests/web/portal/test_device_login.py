"""Letting a command line in: what is shown, and what can't be done to somebody."""

import re

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role


class DeviceTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.USER)

    def begin(self, client="tunnelcloud on laptop"):
        body = {"client": client}
        return self.api("POST", "/device-logins", body, role=None)

    def poll(self, begun):
        body = {"device_code": begun["device_code"]}
        return self.api("POST", "/device-logins/token", body, role=None)

    def look(self, code, status=303):
        answer = self.browser.send("/device", {"code": code}, "/device", status=status)
        return self.browser.get("/device") if status == 303 else answer

    def decide(self, code, answer, browser=None):
        browser = browser or self.browser
        page = browser.get("/device").body.decode()
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        form = {"csrf": csrf, "code": code, "answer": answer}
        return browser.ask("POST", "/device/decide", form)

    def test_a_command_line_is_let_in(self):
        begun = self.begin()
        self.assertEqual(begun["verification_url"], "https://portal.example.com/device")
        self.assertEqual(self.poll(begun)["status"], "pending")
        page = self.look(begun["user_code"].lower().replace("-", " ")).body.decode()
        for shown in ["Is this your command line?", begun["user_code"], "tunnelcloud on laptop"]:
            self.assertIn(shown, page)
        self.assertEqual(self.poll(begun)["status"], "too_soon")
        answer = self.decide(begun["user_code"], "allow")
        self.assertEqual(answer.headers["location"], "/account#command-lines")
        polled = self.poll(begun)
        self.assertEqual((polled["status"], polled["user"]), ("allowed", "the-user"))
        self.secrets["command line"] = polled["token"]
        me = self.api("GET", "/me", role="command line")
        self.assertEqual((me["user"]["name"], me["role"]), ("the-user", "user"))
        self.assertIn(b"tunnelcloud on laptop", self.browser.get("/account").body)
        self.assertEqual(self.poll(begun), {**polled, "status": "over", "token": None,
                                            "expires_at": None, "user": None})  # fmt: skip

    def test_a_command_line_of_an_administrator_has_the_role_user(self):
        begun = self.begin()
        self.decide(begun["user_code"], "allow", self.signed_in(Role.ADMIN))
        self.secrets["command line"] = self.poll(begun)["token"]
        self.api("GET", "/users", role="command line", expect=403)

    def test_it_is_kept_out(self):
        for answer in ("deny", "", "x"):
            begun = self.begin()
            self.decide(begun["user_code"], answer)
            self.assertEqual(self.poll(begun)["status"], "denied")

    def test_looking_decides_nothing(self):
        begun = self.begin()
        self.look(begun["user_code"])
        self.clock.advance(5)
        self.assertIn(self.poll(begun)["status"], ("pending", "too_soon"))

    def test_a_link_fills_nothing_in(self):
        """A code that somebody sends in a link has to be typed all the same."""
        begun = self.begin()
        code = begun["user_code"]
        for query in (f"code={code}", f"user_code={code}"):
            page = self.browser.get(f"/device?{query}").body.decode()
            self.assertNotIn(code, page)

    def test_where_it_asks_from_is_said_loudly(self):
        begun = self.begin("<b>you</b>")
        self.store.write(
            lambda transaction: transaction.connection.exec_driver_sql(
                "UPDATE device_logins SET source_ip = '203.0.113.66'"
            )
        )
        page = self.look(begun["user_code"]).body.decode()
        self.assertIn("It asks from another place than you", page)
        self.assertIn("203.0.113.66", page)
        self.assertNotIn("<b>you", page)

    def test_guessing_codes_is_slowed(self):
        begun = self.begin()
        for _ in range(5):
            self.look("BBBB-BBBB", status=422)
        self.look(begun["user_code"], status=429)
        self.assertEqual(self.decide(begun["user_code"], "allow").status, 429)

    def test_a_code_of_ones_own_pays_for_no_guesses(self):
        begun = self.begin()
        for _ in range(4):
            self.look("BBBB-BBBB", status=422)
            self.look(begun["user_code"])
        self.look("BBBB-BBBB", status=422)
        self.look(begun["user_code"], status=429)

    def test_a_decision_forgets_the_mistakes(self):
        for _ in range(2):
            begun = self.begin()
            for _ in range(4):
                self.look("BBBB-BBBB", status=422)
            self.decide(begun["user_code"], "allow")

    def test_a_flood_of_questions_writes_nothing(self):
        """The store has one writer: whoever asks for nothing doesn't get to it."""
        begun, writes = self.begin(), []
        self.poll(begun)
        self.patch(type(self.store), "write_soon", lambda *args, **kw: writes.append(args))
        self.assertEqual(self.poll(begun)["status"], "too_soon")
        self.assertEqual(self.poll({"device_code": "guess"})["status"], "over")
        self.assertEqual(writes, [])

    def test_without_the_proof_of_a_form_nothing_is_decided(self):
        begun = self.begin()
        form = {"code": begun["user_code"], "answer": "allow"}
        self.assertEqual(self.browser.ask("POST", "/device/decide", form).status, 403)
        self.assertEqual(self.poll(begun)["status"], "pending")

    def test_what_cannot_be_a_client(self):
        for body in [{}, {"client": ""}, {"client": "x" * 101}, {"client": "\0"}]:
            answer = self.ask("POST", "/api/v1/device-logins", body, role=None)
            self.assertEqual(answer.status, 422)

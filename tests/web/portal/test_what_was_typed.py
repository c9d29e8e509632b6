"""What is typed or sent by a browser stands nowhere as a secret, and moves nobody's cursor."""

from sqlalchemy import select

from tests.logs import logged
from tests.web.portal.browser import Browser, PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import audit, schema
from tunnelcloud.web.portal.session_start import NO_NAME

TOKEN = "abcdefghijklmnopqrstuvwxyz"
SECRETS = (TOKEN, TOKEN.upper(), f"tca_{TOKEN}", f"tcl_{TOKEN}", f"tcj1.{TOKEN * 2}")
HOSTILE = "\x1b[2Jmallory\u202e\r\n\u2066\x9b\x00x"
OBEYED = ("\x1b", "\u202e", "\u2066", "\x9b", "\x00", "\r")


def everything(transaction):
    """Write out all rows of all tables."""
    return "\n".join(
        repr(row)
        for table in schema.audit.metadata.sorted_tables
        for row in transaction.connection.execute(select(table))
    )


class TypedTests(PortalTestCase):
    def refused(self):
        return self.store.read(audit.list_page, event="web_login.refused").items[0].event.data

    def test_a_token_for_a_name(self):
        said = []
        for secret in SECRETS:
            said.append(logged(lambda s=secret: Browser(self).sign_in(f" {s}", "x", status=422)))
            self.assertRegex(self.refused()["login_name"], r"^\((a one-time token|a secret)\)$")
        said.append(logged(lambda: Browser(self).get_status(f"/invitation/{TOKEN}")))
        said.append(logged(lambda: Browser(self).get_status(f"/{TOKEN}")))
        for text in (*said, self.store.read(everything)):
            self.assertNotIn(TOKEN, text.lower())

    def test_a_password_for_a_name(self):
        """Whoever is too fast for the form types it into the first field."""
        for password in ("correct horse battery staple", "Tr0ub4dor&3", "pässwort", "x" * 65):
            said = logged(lambda one=password: Browser(self).sign_in(one, "x", status=422))
            self.assertEqual(self.refused()["login_name"], NO_NAME)
            for text in (said, self.store.read(everything)):
                self.assertNotIn(password, text)
        for name in ("mallory", "Mallory.2", "mallory@example.com"):
            Browser(self).sign_in(name, "x", status=422)
            self.assertEqual(self.refused()["login_name"], name)

    def test_a_token_for_a_users_name_on_the_command_line(self):
        """What it asks the API then: nothing of it is kept or logged either."""

        def work():
            for path in (f"/users?name={TOKEN}", f"/users/{TOKEN}", f"/audit?user_name={TOKEN}"):
                self.ask("GET", f"/api/v1{path}", role=Role.ADMIN)
            asked = {"user": TOKEN, "tunnel": "db", "port": 1, "method": "token"}
            self.ask("POST", "/api/v1/explain", asked, role=Role.ADMIN)
            self.ask("POST", "/api/v1/tokens", {"user_id": TOKEN}, role=Role.ADMIN)

        self.assertNotIn(TOKEN, logged(work))
        self.assertNotIn(TOKEN, self.store.read(everything))

    def test_what_a_terminal_obeys(self):
        headers = {"User-Agent": "\x1b[2J"}
        browser = Browser(self)
        said = logged(lambda: browser.sign_in(HOSTILE, "x", status=422))
        said += logged(lambda: browser.ask("GET", "/", headers=headers))
        shown = self.refused()["login_name"]
        admin = self.signed_in(Role.ADMIN)
        pages = [admin.get(page).body.decode() for page in ("/admin/audit", "/sessions")]
        exported = self.raw_get("/api/v1/audit/export")
        for text in (said, shown, self.store.read(everything), exported, *pages):
            for char in OBEYED:
                self.assertNotIn(char, text)

    def raw_get(self, path):
        return self.ask("GET", path, role=Role.ADMIN).body.decode()

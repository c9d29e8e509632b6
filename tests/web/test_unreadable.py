"""Whatever the headers say, no request fails the program: every header, on every route."""

import io

from twisted.logger import globalLogPublisher, textFileLogObserver

from tests.web.support import ApiTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.web.portal.tree import page_table

HEADERS = (
    "Host",
    "User-Agent",
    "Authorization",
    "Content-Type",
    "Accept",
    "Accept-Encoding",
    "Cookie",
    "Last-Event-ID",
    "X-Forwarded-For",
    "Forwarded",
    "If-Match",
    "If-None-Match",
    "Expect",
    "Range",
    "Connection",
    "Upgrade",
)
NO_TEXT = (b"\xff\xfe", b"ok\x80", b"\xed\xa0\x80")
ODD_TEXT = ("", " ", "\u202e\u0130\ud7ff\U0010ffff", "%00%ff", '"', ";=;,", "[::1", "\x01\x7f")


class HeaderTests(ApiTestCase):
    def addresses(self):
        for route in self.table.routes:
            path = route.path
            for name in route.parameters:
                path = path.replace(f"{{{name}}}", f"{name[:3]}_{'0' * 26}")
            yield route.method, f"/api/v1{path}"
        for page in page_table(self.context, self.table):
            path = page.path
            while "{" in path:
                path = path[: path.index("{")] + "0" * 43 + path[path.index("}") + 1 :]
            yield page.method, path
        for path in ("/healthz", "/readyz", "/metrics", "/known_hosts", "/nowhere", "/static/x"):
            yield "GET", path
        yield "\u00e9".encode().decode("latin-1"), "/"
        yield "BREW", "/sign-in"
        yield "GET", "/%ff%00/invitation?%ff=%"

    def ask_with(self, method, path, name, value):
        lines = [f"{method} {path} HTTP/1.1".encode("latin-1"), b"Connection: close"]
        if name != "Host":
            lines.append(b"Host: pod")
        if name != "Authorization":
            lines.append(b"Authorization: Bearer " + self.secrets[Role.AUDITOR].encode())
        lines += [name.encode() + b": " + value, b"", b""]
        return self.raw(b"\r\n".join(lines))

    def test_bytes_that_are_no_text_are_refused_everywhere(self):
        for method, path in self.addresses():
            for count, name in enumerate(HEADERS):
                answer = self.ask_with(method, path, name, NO_TEXT[count % len(NO_TEXT)])
                self.assertEqual(answer.status, 400, (method, path, name))

    def test_odd_text_fails_nowhere(self):
        count = 0
        for method, path in self.addresses():
            for name in HEADERS:
                count += 1
                value = ODD_TEXT[count % len(ODD_TEXT)].encode()
                answer = self.ask_with(method, path, name, value)
                self.assertNotIn(answer.status, (500, 501), (method, path, name, value))
        self.assertEqual(self.flushLoggedErrors(), [])


class LogTests(ApiTestCase):
    def test_a_failure_under_an_invitation_keeps_its_secret(self):
        secret = "s3cret" * 7
        self.patch(AsyncStore, "read", lambda *_, **__: 1 / 0)
        written = io.StringIO()
        observer = textFileLogObserver(written)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.assertEqual(self.ask("GET", f"/invitation/{secret}").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("The page /invitation/… failed", written.getvalue())
        self.assertNotIn(secret, written.getvalue())

"""A browser that keeps cookies and fills in forms, over the real tree in memory."""

import re
from html.parser import HTMLParser
from urllib.parse import urlencode

from attrs import define, field

from tests.web.support import ApiTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import users
from tunnelcloud.web.portal.passwords import hash_password

PASSWORD = "correct horse battery"
TAB = re.compile(r'<a href="(/admin/[^"]+/(?:access|activity|settings))"')
HASHED = hash_password(PASSWORD, bytes(16))


class Forms(HTMLParser):
    """The forms of a page, with what a browser would send of each."""

    def __init__(self, page):
        super().__init__()
        self.forms = []
        self._select = None
        self._area = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.forms.append((given.get("action"), []))
        if not self.forms:
            return
        fields = self.forms[-1][1]
        if tag == "input" and "name" in given:
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                fields.append((given["name"], given.get("value", "on")))
        elif tag == "select":
            self._select = given.get("name")
        elif tag == "option" and "selected" in given and self._select is not None:
            fields.append((self._select, given["value"]))
        elif tag == "textarea":
            self._area = (given["name"], "")

    def handle_data(self, data):
        if self._area is not None:
            self._area = (self._area[0], self._area[1] + data)

    def handle_endtag(self, tag):
        if tag == "textarea":
            self.forms[-1][1].append((self._area[0], self._area[1].removeprefix("\n")))
            self._area = None


@define
class Browser:
    """One person's browser."""

    case: ApiTestCase
    host: str = "portal.example.com"
    cookies: dict = field(factory=dict)

    def ask(self, method, path, form=None, headers=()):
        path = path.partition("#")[0]
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}"]
        if self.cookies:
            pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            lines.append(f"Cookie: {pairs}")
        lines += [f"{name}: {value}" for name, value in dict(headers).items()]
        data = b""
        if form is not None:
            data = urlencode(form).encode()
            lines += ["Content-Type: application/x-www-form-urlencoded"]
            lines += [f"Content-Length: {len(data)}"]
        answer = self.case.raw("\r\n".join([*lines, "", ""]).encode() + data)
        # A page that answered a form could be sent again by "back" or by loading it anew; a part
        # that a script asked for isn't in the browser's history.
        whole = method == "POST" and "HX-Request" not in dict(headers)
        self.case.assertFalse(whole and answer.status < 300, path)
        for cookie in answer.cookies:
            pair = cookie.split(";")[0]
            self.case.assertLessEqual(len(pair), 3900, "browsers keep 4096 bytes with what follows")
            name, _, value = pair.partition("=")
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        return answer

    def get(self, path, status=200):
        answer = self.ask("GET", path)
        self.case.assertEqual(answer.status, status, answer.body)
        return answer

    def get_status(self, path):
        return self.ask("GET", path).status

    def send(self, path, changes=(), action=None, status=303):
        """Load a page, fill in the form with an action (or the last), and send it.

        An object has several pages: the form may be on another of them.
        """
        page = self.get(path).body.decode()
        forms = Forms(page).forms
        for tab in () if action is None else TAB.findall(page):
            if all(one[0] != action for one in forms):
                forms = Forms(self.get(tab).body.decode()).forms
        found, fields = next(one for one in reversed(forms) if action in (None, one[0]))
        changes = dict(changes)
        filled = [(name, value) for name, value in fields if name not in changes]
        for name, value in changes.items():
            values = value if isinstance(value, list) else [value]
            filled += [(name, one) for one in values]
        answer = self.ask("POST", found or path, filled)
        self.case.assertEqual(answer.status, status, answer.body)
        return answer

    def send_on(self, *arguments, **options):
        """Send a form, and load the page that it leads to."""
        return self.get(self.send(*arguments, **options).headers["location"])

    def sign_in(self, name, password=PASSWORD, status=303):
        return self.send("/sign-in", {"name": name, "password": password}, status=status)


class PortalTestCase(ApiTestCase):
    """A listener, and a person of each role with a password."""

    def setUp(self):
        super().setUp()
        for role in Role:
            self.store.write(users.set_password, self.people[role].id, HASHED)

    def signed_in(self, role):
        browser = Browser(self)
        browser.sign_in(f"the-{role}")
        return browser

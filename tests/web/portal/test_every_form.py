"""Every form of the portal that changes something is in the audit, by who sent it.

Made from the page table.  Forms that only use the API's operations are held to it by
``tests.web.test_every_deed``; those that write themselves are sent here, or said to change nothing.
"""

import inspect
import json
import re

from attrs import asdict

from tests.web.portal.browser import PASSWORD, Browser
from tests.web.portal.test_second_factor import FACTOR, SecondFactorCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import read_user_code
from tunnelcloud.store import audit, browser_logins
from tunnelcloud.store.device_logins import Asking
from tunnelcloud.web.portal.tree import page_table

CHANGES_NOTHING = {
    "/device": "it only looks for a code",
    "/applications/{tunnel_id}/pin": "it only says what this user sees first",
    "/applications/{tunnel_id}/unpin": "it only says what this user sees first",
    "/admin/audit/searches": "it only keeps a search of this user",
    "/admin/audit/searches/remove": "it only forgets a search of this user",
    "/unfinished/discard": "it only has the browser forget a form",
    FACTOR: "the second factor begins with its first code",
}
"""Forms that are no event, and why."""

BOTH = {
    "/requests/{request_id}": "it uses a code up, and has the API decide",
    "/admin/settings/providers/{identity_provider_id}/check": "it has the API check",
}
"""Forms of the API's operations whose class writes as well, and what they do."""

NEW_PASSWORD = "other horse battery staple"


class EveryFormTests(SecondFactorCase):
    def setUp(self):
        super().setUp()
        self.user = self.people[Role.USER]
        self.browser = self.signed_in(Role.USER)
        self.done, self.secrets_typed = set(), {PASSWORD, NEW_PASSWORD}

    def latest(self):
        return self.store.read(audit.list_page, limit=200).items

    def sent(self, form, send):
        """Send a form, and see that who sent it is in the audit."""
        before = {one.id for one in self.latest()}
        found = send()
        events = [one.event for one in self.latest() if one.id not in before]
        doers = {one.actor_id or one.user_id for one in events}
        self.assertIn(self.user.id, doers, f"{form}: {events}")
        self.done.add(form)
        return found

    def writers(self):
        """Give the forms whose class writes to the store itself."""
        pages = [one for one in page_table(self.context, self.table) if one.method == "POST"]
        self.assertGreater(len(pages), 50)
        found = set()
        for page in pages:
            source = inspect.getsource(type(page.handler.__self__))
            if ".write(" in source or "sign_ins" in source:
                found.add(page.path)
            elif page.path not in CHANGES_NOTHING:
                self.assertIn("operations", source, page.path)
        return found

    def test_every_form_that_writes(self):
        self.passwords()
        self.second_factor()
        self.logins()
        wanted = self.writers() - CHANGES_NOTHING.keys() - BOTH.keys()
        self.assertEqual(wanted, self.done)
        told = "\n".join(json.dumps(asdict(one), default=str) for one in self.latest())
        for secret in self.secrets_typed:
            self.assertNotIn(secret, told)

    def passwords(self):
        link = self.api("POST", f"/users/{self.user.id}/invitations")["url"]
        path = link.removeprefix("https://portal.example.com")
        self.secrets_typed.add(path.rpartition("/")[2])
        typed = {"password": PASSWORD, "again": PASSWORD}
        self.sent("/invitation/{secret}", lambda: Browser(self).send(path, typed))
        self.sent("/sign-in", lambda: self.browser.sign_in("the-user"))
        typed = {"current": PASSWORD, "password": NEW_PASSWORD, "again": NEW_PASSWORD}
        path = "/account/password"
        self.sent(path, lambda: self.browser.send("/account", typed, path))
        other = Browser(self)
        other.sign_in("the-user", NEW_PASSWORD)
        path = "/account/sign-ins/{web_session_id}/end"
        page = self.browser.get("/account").body.decode()
        end = re.search(r'action="(/account/sign-ins/web_[^"]+)"', page)[1]
        self.sent(path, lambda: self.browser.send("/account", {}, end))
        path = "/account/sign-ins/end-others"
        Browser(self).sign_in("the-user", NEW_PASSWORD)
        self.sent(path, lambda: self.browser.send(path, {}, path))

    def second_factor(self):
        phone, codes = self.sent(
            f"{FACTOR}/confirm", lambda: self.enrol(self.browser, NEW_PASSWORD)
        )
        self.secrets_typed.update(codes)
        half = Browser(self)
        half.sign_in("the-user", NEW_PASSWORD)
        self.sent("/sign-in/code", lambda: self.type_code(half, phone.code()))
        self.sent("/sign-out", lambda: half.send("/account", {}, "/sign-out"))
        path = "/account/recovery-codes"
        typed = {"code": codes[0]}
        self.sent(path, lambda: self.browser.send("/account", typed, path))
        path = f"{FACTOR}/remove"
        typed = {"csrf": self.proof(), "code": phone.code(1)}
        self.sent(path, lambda: self.browser.ask("POST", path, typed))

    def logins(self):
        begun = self.api("POST", "/device-logins", {"client": "x"}, role=None)
        csrf = {"csrf": self.proof()}
        typed = {**csrf, "code": begun["user_code"], "answer": "allow"}
        self.sent("/device/decide", lambda: self.browser.ask("POST", "/device/decide", typed))
        code = read_user_code("WDJB-MJHT")
        asking = Asking(b"x", code, "x", "192.0.2.1", "192.0.2.1", "the-user")
        self.store.write(browser_logins.begin, asking)
        typed = {**csrf, "answer": "deny"}
        self.sent("/l/{code}", lambda: self.browser.ask("POST", f"/l/{code}", typed))
        self.secrets_typed.add(begun["device_code"])

    def proof(self):
        page = self.browser.get("/device").body.decode()
        return page.partition('name="csrf" value="')[2].partition('"')[0]

"""An attempt fails when the pod finds it wrong, and not when the pod can't look at it."""

from tests.web.portal.browser import PASSWORD, Browser, Forms, PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import browser_logins, device_logins, users
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.web.portal.pages import sign_in
from tunnelcloud.web.portal.password_attempts import FREE_FOR_A_NAME

TRIES = FREE_FOR_A_NAME + 1


class AwayTests(PortalTestCase):
    def fail_in(self, module, name):
        """Have a function of the store fail as while the database is away, until it is called."""

        def away(*_, **__):
            raise StoreUnavailable("the database is away")

        return self.patch(module, name, away)

    def check(self, browser, module, name, path, form):
        """Send a form while the database is away, again and again, and once it is back."""
        patch = self.fail_in(module, name)
        for _ in range(TRIES):
            browser.send(path, form, path, status=503)
        patch.restore()
        browser.send(path, form, path, status=303)

    def test_a_right_password(self):
        form = {"name": "the-user", "password": PASSWORD}
        self.check(Browser(self), sign_in, "enter_compared", "/sign-in", form)

    def test_a_typed_code(self):
        begun = self.api("POST", "/device-logins", {"client": "x"}, role=None)
        form = {"code": begun["user_code"]}
        self.check(self.signed_in(Role.USER), device_logins, "find", "/device", form)

    def test_a_code_in_a_link(self):
        browser, path = self.signed_in(Role.USER), "/l/WDJB-MJHT"
        patch = self.fail_in(browser_logins, "find")
        for _ in range(TRIES):
            browser.get(path, 503)
        patch.restore()
        browser.get(path, 404)

    def test_the_password_that_a_change_asks_for(self):
        browser, path = self.signed_in(Role.USER), "/account/password"
        forms = Forms(browser.get("/account").body.decode()).forms
        fields = dict(next(fields for action, fields in forms if action == path))
        form = {**fields, "current": PASSWORD, "password": "a new one, also long", "again": "x"}
        patch = self.fail_in(users, "password_hash")
        for _ in range(TRIES):
            self.assertEqual(browser.ask("POST", path, form).status, 503)
        patch.restore()
        answer = browser.ask("POST", path, form)
        self.assertEqual(answer.status, 422)
        self.assertNotIn(b"too many attempts", answer.body)

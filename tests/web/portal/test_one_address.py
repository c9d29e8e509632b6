"""Many behind one address: what a stranger among them does keeps the others from nothing."""

from tests.web.portal.browser import PASSWORD, Browser
from tests.web.portal.provider_case import ProviderCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import second_factors
from tunnelcloud.web.portal.password_attempts import FREE_FOR_A_NETWORK
from tunnelcloud.web.portal.second_factor import purpose

DEVICE = "__Host-tunnelcloud-device"


class OneAddressTests(ProviderCase):
    def slow_down(self):
        """Fail as often as makes this address wait."""
        for number in range(FREE_FOR_A_NETWORK):
            Browser(self).sign_in(f"name-{number}", "wrong", status=422)
        Browser(self).sign_in("name-x", "wrong", status=429)

    def known(self, role=Role.USER):
        """Give a browser that its user signed in from, and out."""
        browser = self.signed_in(role)
        browser.send("/", action="/sign-out")
        return browser

    def test_a_browser_that_was_here_before_is_not_held_up(self):
        browser = self.known()
        self.slow_down()
        browser.sign_in("the-user")
        Browser(self).sign_in("the-user", status=429)

    def test_it_is_so_for_its_own_user_only_and_guessing_there_is_slowed(self):
        browser = self.known()
        self.slow_down()
        browser.sign_in("the-auditor", status=429)
        for _ in range(5):
            browser.sign_in("the-user", "wrong", status=422)
        browser.sign_in("the-user", status=429)

    def test_a_cookie_that_was_changed_or_is_too_old_is_nobodys(self):
        browser = self.known()
        good = browser.cookies[DEVICE]
        self.slow_down()
        for cookie in (good[:-4] + "AAAA", "x", "=", "\\", good * 3, good[:20]):
            browser.cookies[DEVICE] = cookie
            browser.sign_in("the-user", status=429)
        browser.cookies[DEVICE] = good
        browser.sign_in("the-user")

    def test_the_cookie_lasts_and_keeps_several_users(self):
        browser = self.known()
        answer = browser.sign_in("the-auditor")
        (cookie,) = [one for one in answer.cookies if one.startswith(DEVICE)]
        self.assertIn(f"Max-Age={180 * 24 * 3600}", cookie)
        browser.send("/", action="/sign-out")
        self.slow_down()
        for name in ("the-user", "the-auditor"):
            browser.sign_in(name)
            browser.send("/", action="/sign-out")

    def add_second_factor(self, user_id):
        sealed = self.context.sealer.seal(bytes(20), purpose(user_id))
        self.store.write(second_factors.begin, user_id, sealed)
        self.store.write(second_factors.confirm, user_id, 1, [bytes(32)])

    def test_a_password_with_a_second_factor_passes(self):
        self.add_second_factor(self.people[Role.USER].id)
        self.slow_down()
        answer = Browser(self).sign_in("the-user")
        self.assertEqual(answer.headers["location"], "/sign-in/code")
        for name, password in [("the-user", "wrong"), ("the-auditor", PASSWORD)]:
            Browser(self).sign_in(name, password, status=429)

    def test_nobody_evicts_anothers_sign_in_at_a_provider(self):
        self.make_provider()
        browser = Browser(self)
        answer = self.provider.authorize(self.go(browser), preferred_username="ada")
        for _ in range(150):
            self.go(Browser(self))
        self.come_back(browser, answer)

    def test_two_tabs_and_the_way_back(self):
        self.make_provider()
        browser = Browser(self)
        first = self.provider.authorize(self.go(browser, next_page="/sessions"))
        second = self.provider.authorize(self.go(browser, next_page="/account"))
        location = self.come_back(browser, first).headers["location"]
        self.assertEqual(location, "/sessions")
        for again in (second, first):
            location = self.come_back(browser, again).headers["location"]
            self.assertEqual(location, "/")

"""An identity provider is checked when it is saved, and tried before anybody comes through it."""

import html
import json

from tests.web.portal.browser import Browser
from tests.web.portal.provider_case import ProviderCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.net.fetching import Fetched
from tunnelcloud.store import groups, identity_providers, users


class CheckTests(ProviderCase):
    def has_button(self):
        return b"Sign in with Corp" in Browser(self).get("/sign-in").body

    def test_the_button_comes_with_the_first_check_that_works(self):
        self.provider.away = True
        made = self.make_provider()
        self.assertIsNone(made["checked_at"])
        self.assertIn("can't be reached at https://login.example.com", made["check_fault"])
        self.assertFalse(self.has_button())
        self.assertEqual(self.go(Browser(self)), "/sign-in")
        path = f"/identity-providers/{made['id']}/check"
        self.assertEqual(self.api("POST", path)["check_fault"], made["check_fault"])
        self.provider.away = False
        checked = self.api("POST", path)
        self.assertEqual(checked["check_fault"], "")
        self.assertIsNotNone(checked["checked_at"])
        self.assertTrue(self.has_button())
        self.sign_in()
        # What fails later is told, and takes nobody's way in.
        self.provider.away = True
        changed = self.api("PATCH", f"/identity-providers/{made['id']}", {"title": "Corp"})
        self.assertIn("can't be reached", changed["check_fault"])
        self.assertEqual(changed["checked_at"], checked["checked_at"])
        self.assertTrue(self.has_button())
        verdicts = [one.data["changes"]["check_fault"]["to"]
                    for one in self.events("identity_provider.checked")]  # fmt: skip
        self.assertEqual([bool(one) for one in verdicts], [True, False, True])

    def test_the_faults_are_worded(self):
        def answering(status, body):
            async def fetch(method, address, headers, body_):
                return Fetched(status, body)

            return fetch

        keys = self.provider.fetch
        for lies, words in [
            ({"issuer": "https://login.example.com/"}, "calls itself 'https://login.example.com/'"),
            ({"jwks_uri": "https://10.0.0.1/keys"}, "no usable jwks_uri"),
            ({"token_endpoint": "https://localhost/token"}, "no usable token_endpoint"),
            ({"userinfo_endpoint": "https://[::1]/"}, ""),
        ]:
            self.provider.metadata_lies = lies
            made = self.make_provider(f"p{len(self.api('GET', '/identity-providers')['items'])}")
            self.assertIn(words, made["check_fault"])
            self.assertEqual(made["checked_at"] is None, bool(words))
        self.provider.metadata_lies = {"issuer": "https://login.example.com/"}
        self.assertIn("delete it, and make it", self.make_provider("slash")["check_fault"])
        for status, body, words in [
            (404, b"", "answered 404 at https://login.example.com/.well-known/openid-conf"),
            (200, b"<html>", "is not a JSON object"),
            (200, json.dumps({"issuer": "x" * 5000}).encode(), "calls itself 'xxx"),
        ]:
            self.provider.fetch = answering(status, body)
            made = self.make_provider(f"p{len(self.api('GET', '/identity-providers')['items'])}")
            self.assertIn(words, made["check_fault"])
            self.assertLess(len(made["check_fault"]), 600)
        self.provider.fetch = keys
        self.provider.metadata_lies = {}
        self.provider.published = []
        made = self.make_provider("keyless")
        self.assertIn("/keys publishes no key that can be used", made["check_fault"])

    def test_a_disabled_provider_is_left_alone(self):
        self.provider.away = True
        made = self.make_provider(enabled=False)
        self.assertEqual((made["check_fault"], self.provider.asked), ("", []))

    def test_an_address_within_the_network_is_the_administrators_choice_alone(self):
        inside = "https://10.1.2.3"
        self.provider.issuer = inside
        made = self.make_provider()
        self.assertEqual(made["check_fault"], "")
        self.provider.metadata_lies = {"jwks_uri": "https://10.1.2.4/keys"}
        checked = self.api("POST", f"/identity-providers/{made['id']}/check")
        self.assertIn("no usable jwks_uri", checked["check_fault"])


class PageTests(ProviderCase):
    def setUp(self):
        super().setUp()
        self.made = self.make_provider(groups_claim="roles", group_map={})
        self.path = f"/admin/settings/providers/{self.made['id']}"
        self.admin = self.signed_in(Role.ADMIN)

    def test_the_page_says_how_it_stands(self):
        self.assertIn(b"Its button is on the sign-in page.", self.admin.get(self.path).body)
        self.provider.away = True
        action = f"{self.path}/check"
        self.admin.send(self.path, action=action)
        page = html.unescape(self.admin.get(self.path).body.decode())
        self.assertIn("The last check failed.", page)
        self.assertIn("The provider can't be reached", page)
        self.provider.away = False
        self.admin.send(self.path, action=action)
        self.assertNotIn(b"The last check failed.", self.admin.get(self.path).body)

    def test_one_that_never_answered(self):
        self.provider.away = True
        made = self.make_provider("other")
        page = self.admin.get(f"/admin/settings/providers/{made['id']}").body.decode()
        self.assertIn("Its button isn't on the sign-in page yet", html.unescape(page))
        self.assertIn(b"not checked", self.admin.get("/admin/settings").body)

    def try_it(self, browser=None, status=200, **person):
        browser = browser or self.admin
        address = browser.get(f"{self.path}/test", 303).headers["location"]
        answer = self.provider.authorize(address, **person)
        page = self.come_back(browser, answer, status)
        return html.unescape(page.body.decode())

    def test_a_test_shows_who_that_would_be_and_makes_nobody(self):
        group = self.store.write(groups.create, name="dba")
        self.api("PATCH", f"/identity-providers/{self.made['id']}", {"group_map": {"db": "dba"}})
        page = self.try_it(roles=["db"], evil="<script>alert(1)</script>\x1b[31m")
        for words in ("It works.", "alice, who would be created", "alice@example.com",
                      "<dd>dba</dd>",
                      "preferred_username"):  # fmt: skip
            self.assertIn(words, page)
        self.assertNotIn("\x1b", page)
        self.assertIsNone(self.person("alice"))
        self.assertEqual(self.store.read(groups.list_members, group.id).items, ())
        self.assertEqual(self.events("identity.linked"), [])
        self.assertEqual(self.events("web_login.succeeded")[1:], [])
        self.assertIn(b">the-admin</a>", self.admin.get("/account").body)

    def test_a_test_finds_who_is_here(self):
        self.sign_in()
        page = self.try_it()
        self.assertIn("alice, who is linked already", page)
        self.assertIn("the provider's answer has no claim roles", page)
        self.provider.person["sub"] = "somebody-else"
        self.assertIn("There is a user alice here already", self.try_it())

    def test_a_test_of_what_is_wrong(self):
        self.provider.client_secret = "another"
        page = self.try_it()
        self.assertIn("doesn't take back the code", page)
        self.assertIn("the client secret may be wrong", page)
        found = self.store.read(identity_providers.get, self.made["id"])
        self.assertIn("doesn't take back the code", found.check_fault)

    def test_a_test_that_works_brings_the_button(self):
        self.store.write(
            lambda transaction: transaction.connection.exec_driver_sql(
                "UPDATE identity_providers SET checked_at = NULL"
            )
        )
        self.assertNotIn(b"Sign in with Corp", Browser(self).get("/sign-in").body)
        self.try_it()
        self.assertIn(b"Sign in with Corp", Browser(self).get("/sign-in").body)

    def test_a_test_is_its_administrators_alone(self):
        address = self.admin.get(f"{self.path}/test", 303).headers["location"]
        answer = self.provider.authorize(address)
        self.admin.send("/", action="/sign-out")
        self.refused(self.come_back(self.admin, answer, 403), "begun in this browser")
        self.assertIsNone(self.person("alice"))
        self.signed_in(Role.AUDITOR).get(f"{self.path}/test", 403)
        self.store.write(users.create, name="second", role=Role.ADMIN)


class ComingBackTests(ProviderCase):
    """Two tabs, the back button, a provider that is slow or gone."""

    def test_two_tabs(self):
        self.make_provider()
        browser = Browser(self)
        first = self.provider.authorize(self.go(browser, next_page="/keys"))
        second = self.provider.authorize(self.go(browser, next_page="/sessions"))
        self.assertEqual(self.come_back(browser, first).headers["location"], "/keys")
        answer = self.come_back(browser, second)
        self.assertEqual(answer.headers["location"], "/")  # signed in by the first already
        browser.get("/")

    def test_the_back_button(self):
        self.make_provider()
        browser, _ = self.sign_in()
        answer = self.provider.authorize(self.go(browser))
        self.come_back(browser, answer)
        self.assertEqual(self.come_back(browser, answer).headers["location"], "/")
        browser.get("/")

    def test_a_provider_that_goes_away_in_between(self):
        self.make_provider()
        browser = Browser(self)
        answer = self.provider.authorize(self.go(browser))
        self.provider.away = True
        self.refused(self.come_back(browser, answer, 403), "can't be reached", "Try again")
        self.provider.away = False
        self.sign_in(browser)[0].get("/")

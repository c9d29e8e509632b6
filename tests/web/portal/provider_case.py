"""A portal whose people come through an identity provider."""

import html
from urllib.parse import urlencode, urlsplit

from tests.web.portal.browser import Browser, PortalTestCase
from tests.web.portal.providers import Provider
from tunnelcloud.store import audit, users

CALLBACK = "/sign-in/with/corp/callback"


class ProviderCase(PortalTestCase):
    def setUp(self):
        self.provider = Provider()
        self.others = {}
        super().setUp()
        self.provider.now = self.clock.seconds

    async def fetch(self, method, address, headers, body):
        host = urlsplit(address).hostname
        provider = self.others.get(host, self.provider)
        return await provider.fetch(method, address, headers, body)

    def make_provider(self, name="corp", **fields):
        body = {
            "name": name,
            "title": name.title(),
            "issuer": self.provider.issuer,
            "client_id": self.provider.client_id,
            "client_secret": self.provider.client_secret,
            "create_users": True,
            **fields,
        }
        made = self.api("POST", "/identity-providers", body)
        self.provider.asked.clear()  # by the check
        return made

    def go(self, browser, name="corp", next_page="/"):
        """Press the provider's button; give the address that it leads to."""
        query = urlencode({"next": next_page})
        return browser.get(f"/sign-in/with/{name}?{query}", 303).headers["location"]

    def come_back(self, browser, answer, status=303, path=CALLBACK):
        return browser.get(f"{path}?{urlencode(answer)}", status)

    def sign_in(self, browser=None, status=303, name="corp", **person):
        browser = browser or Browser(self)
        answer = self.provider.authorize(self.go(browser, name), **person)
        path = f"/sign-in/with/{name}/callback"
        return browser, self.come_back(browser, answer, status, path)

    def refused(self, answer, *words):
        """Hold a page to what a refusal has: what happened, what to do, and the way on."""
        page = html.unescape(answer.body.decode())
        for word in words:
            self.assertIn(word, page)
        self.assertIn('href="/sign-in"', page)
        self.assertEqual(answer.status, 403)

    def events(self, name):
        return [found.event for found in self.store.read(audit.list_page, event=name).items]

    def person(self, name):
        return self.store.read(users.find_login, name)

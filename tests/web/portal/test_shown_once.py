"""What a form makes is shown by the page after it, one time, and to nobody else."""

import html
import re
import shlex
from datetime import timedelta

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import tokens
from tunnelcloud.tap import Options
from tunnelcloud.web.portal.sealed_cookies import ONCE_SECONDS


class ShownOnceTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.USER)
        self.tunnel = self.make_tunnel("db")
        self.user = {"id": self.people[Role.USER].id}
        self.assign(self.tunnel, self.user)
        self.panel = f"/applications/{self.tunnel['id']}"

    def make(self):
        """Make a token; give the address of the page that shows it."""
        answer = self.browser.send(f"{self.panel}?port_5432=15432", action=f"{self.panel}/token")
        return answer.headers["location"]

    def shows(self, address):
        page = self.browser.get(address).body.decode()
        self.assertIn('name="port_5432" value="15432"', page)
        return re.search(r'<pre id="token">[a-z2-7]{26}</pre>', page) is not None

    def test_loading_it_anew_makes_no_other(self):
        address = self.make()
        self.assertEqual([self.shows(address), self.shows(address)], [True, False])
        self.assertEqual(len(self.store.read(tokens.list_page).items), 1)

    def test_the_address_holds_no_secret(self):
        address = self.make()
        page = self.browser.get(address).body.decode()
        token = re.search(r'<pre id="token">([a-z2-7]{26})</pre>', page)[1]
        self.assertNotIn(token, address)

    def test_a_browser_cannot_read_what_it_carries(self):
        address, cookies = self.make(), " ".join(self.browser.cookies.values())
        page = self.browser.get(address).body.decode()
        self.assertNotIn(re.search(r'<pre id="token">([a-z2-7]{26})</pre>', page)[1], cookies)

    def test_it_is_not_for_another_sign_in_or_page(self):
        address = self.make()
        (name,) = [one for one in self.browser.cookies if "once" in one]
        kept = self.browser.cookies[name]
        other = self.signed_in(Role.USER)
        other.cookies[name] = kept
        self.assertNotIn(b'<pre id="token">', other.get(address).body)
        elsewhere = self.make_tunnel("elsewhere")
        self.assign(elsewhere, self.user)
        path = f"/applications/{elsewhere['id']}"
        another = self.browser.send(path, action=f"{path}/token").headers["location"]
        (theirs,) = [one for one in self.browser.cookies if "once" in one and one != name]
        self.browser.cookies[theirs] = kept
        self.assertNotIn(b'<pre id="token">', self.browser.get(another).body)
        self.assertTrue(self.shows(address))

    def test_it_waits_for_a_while_only(self):
        address = self.make()
        self.clock.advance(timedelta(seconds=ONCE_SECONDS + 1).total_seconds())
        self.assertFalse(self.shows(address))

    def test_pages_with_nothing_to_show_lead_on(self):
        admin = self.signed_in(Role.ADMIN)
        user = f"/admin/users/{self.people[Role.USER].id}"
        for path, where in [
            ("/account/recovery-codes", "/account"),
            ("/admin/settings/api-tokens/made", "/admin/settings#api-tokens"),
            (f"{user}/invite", user),
        ]:
            self.assertEqual(admin.get(path, 303).headers["location"], where)

    def test_a_connectors_token_stands_apart_from_its_command(self):
        admin = self.signed_in(Role.ADMIN)
        made = self.api("POST", "/connectors", {"name": "one", "site_id": self.tunnel["site_id"]})
        path = f"/admin/connectors/{made['id']}"
        address = admin.send(path, action=f"{path}/join").headers["location"]
        page = admin.get(address).body.decode()
        (token,) = re.findall(r'<pre id="join-token">(tcj1\.[\w-]+)</pre>', page)
        # On a command line other users of the machine could read it.
        self.assertEqual(page.count(token), 1)
        for way in ("join-debian", "join-container", "join-kubernetes", "join-file", "join"):
            command = html.unescape(re.search(rf'<pre id="{way}">([^<]+)</pre>', page)[1])
            for line in command.splitlines():
                shlex.split(line)
            if "--join-file" in command:
                words = shlex.split(command)
                Options().parseOptions(words[words.index("connector") :])
        self.assertIn("<summary>Windows</summary>\n<p>The connector doesn't run on Windows.", page)
        self.assertNotIn(token, admin.get(path).body.decode())

"""A key made, registered and handed over in one step, by the pod where no script runs."""

import base64
import html
import re
import shlex

from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from tests.web.portal.browser import Forms, PortalTestCase
from tests.web.support import KEY
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.net.allowance import Allowances
from tunnelcloud.store import keys
from tunnelcloud.web import worker
from tunnelcloud.web.portal.pages import making_keys

CANARY = "<b>&\u202e"
FILE = re.compile(r'download="([^"]+)" href="data:application/octet-stream;base64,([^"]+)"')


class MakingKeysTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.USER)
        self.tunnel = self.make_tunnel("db")
        self.assign(self.tunnel, {"id": self.people[Role.USER].id})

    def make(self, status=303, path="/keys/new", **form):
        return self.browser.send(path, {"kind": "openssh", **form}, action=path, status=status)

    def handed_over(self, page):
        name, content = FILE.search(page).groups()
        return name, base64.b64decode(content)

    def test_it_is_registered_and_its_file_is_there(self):
        address = self.make(title="My Laptop", expires_at="2099-12-31").headers["location"]
        page = self.browser.get(address).body.decode()
        name, content = self.handed_over(page)
        self.assertEqual(name, "tunnelcloud-my-laptop")
        (key,) = self.store.read(keys.list_page).items
        self.assertEqual(key.title, "My Laptop")
        self.assertEqual(key.expires_at.isoformat(), "2099-12-31T23:59:59+00:00")
        private = load_ssh_private_key(content, None)
        raw = private.public_key().public_bytes_raw()
        self.assertTrue(base64.b64decode(key.public_key.split(" ")[1]).endswith(raw))
        self.assertIn(key.fingerprint, page)

    def test_it_is_handed_over_once_and_kept_nowhere(self):
        address = self.make().headers["location"]
        self.assertEqual(address, "/keys/made")
        kept = " ".join(self.browser.cookies.values())
        _, content = self.handed_over(self.browser.get(address).body.decode())
        self.assertNotIn(content[50:90].decode(), kept)
        self.assertEqual(self.browser.get(address, 303).headers["location"], "/keys")

    def test_the_command_uses_the_file(self):
        page = self.browser.send_on("/keys/new", {"kind": "openssh", "title": "x"}).body.decode()
        shown = dict(re.findall(r'<pre id="((?:connect|keep)-\d)">([^<]+)</pre>', page))
        words = shlex.split(html.unescape(shown["connect-1"]))
        self.assertEqual(words[words.index("-i") + 1], "~/.ssh/tunnelcloud-x")
        self.assertEqual(words[-1], "the-user@pod.example.com")
        self.assertIn("chmod 600 ~/.ssh/tunnelcloud-x", html.unescape(shown["keep-1"]))
        windows = html.unescape(shown["connect-2"])
        self.assertIn('-i "$HOME\\.ssh\\tunnelcloud-x" ', windows)
        self.assertIn("icacls", shown["keep-2"])

    def test_the_visitors_system_comes_first(self):
        address = self.make().headers["location"]
        page = self.browser.ask("GET", address, headers={"User-Agent": "Windows NT"}).body
        self.assertIn("icacls", page.decode().partition('id="keep-2"')[0])

    def test_for_putty_and_with_a_passphrase(self):
        page = self.browser.send_on("/keys/new", {"kind": "putty", "title": "x"}).body.decode()
        name, content = self.handed_over(page)
        self.assertEqual(name, "tunnelcloud-x.ppk")
        self.assertTrue(content.startswith(b"PuTTY-User-Key-File-3: ssh-ed25519\n"))
        self.assertIn("plink", page)
        form = {"kind": "openssh", "title": CANARY, "passphrase": "open sesame"}
        page = self.browser.send_on("/keys/new", form).body.decode()
        name, content = self.handed_over(page)
        self.assertEqual(name, "tunnelcloud-b")
        self.assertRaises(TypeError, load_ssh_private_key, content, None)
        load_ssh_private_key(content, b"open sesame")
        self.assertNotIn("open sesame", page)

    def test_what_the_browser_made_is_registered_as_it_is(self):
        page = self.browser.send_on("/keys/new", {"kind": "openssh", "public_key": KEY}).body
        (key,) = self.store.read(keys.list_page).items
        self.assertEqual(key.public_key, KEY)
        self.assertNotIn(b'href="data:', page)
        self.assertIn(b"data-key-file", page)

    def test_what_is_wrong_is_said_at_its_field(self):
        for form, text in [
            ({"kind": "rsa"}, "made in your browser"),
            ({"kind": "x"}, "choose"),
            ({"passphrase": "x" * 201}, "at most 200"),
            ({"expires_at": "2001-01-01"}, "in the future"),
        ]:
            page = self.make(422, title=CANARY, **form).body.decode()
            self.assertIn(text, page)
            self.assertIn(f'value="{html.escape(CANARY)}"', page)
            self.assertNotIn("xxxx", page)
        self.assertEqual(self.store.read(keys.list_page).items, ())

    def test_a_crowd_is_told_to_come_back(self):
        fields = dict(Forms(self.browser.get("/keys/new").body.decode()).forms[-1][1])
        form = {**fields, "kind": "openssh", "passphrase": "open sesame"}
        for name, status, text in [
            ("MOST_OF_ONE", 429, b"being done for you"),
            ("MAX_WAITING", 503, b"oo many keys"),
        ]:
            self.patch(worker, name, 0)
            answer = self.browser.ask("POST", "/keys/new", form)
            self.assertEqual(answer.status, status)
            self.assertIn(text, answer.body)
            self.assertEqual(answer.headers["retry-after"], "5")

    def test_who_changes_too_much_costs_no_work(self):
        made = []
        self.patch(making_keys, "make_key_file", lambda *_: made.append("a key"))
        self.patch(self.context.paces, "_allowances", Allowances(self.clock, 0, 1))
        answer = self.make(429, passphrase="open sesame")
        self.assertIn(b"ou change things faster", answer.body)
        self.assertEqual(made, [])

    def test_an_administrator_makes_one_for_a_service(self):
        admin = self.signed_in(Role.ADMIN)
        user = self.people[Role.USER].id
        path = f"/admin/users/{user}/keys/new"
        page = admin.send_on(path, {"kind": "openssh", "title": "job"}).body.decode()
        self.assertEqual(self.handed_over(page)[0], "tunnelcloud-job")
        self.assertIn("registered for the-user", page)
        self.assertIn("the-user@", page)
        (key,) = self.store.read(keys.list_page).items
        self.assertEqual(key.user_id, user)
        self.browser.get(path, 403)

    def test_without_a_tunnel_it_says_what_is_missing(self):
        browser = self.signed_in(Role.AUDITOR)
        page = browser.send_on("/keys/new", {"kind": "openssh"}).body.decode()
        self.assertIn("No tunnel opens with a key for you yet", page)
        self.assertIn("keep-1", page)

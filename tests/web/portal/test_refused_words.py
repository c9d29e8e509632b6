"""The words in which pages refuse, for each field of each form: the label's, none of the code's."""

import html
import re
from urllib.parse import urlencode

from tests.web.portal.browser import Browser, Forms
from tests.web.portal.provider_case import ProviderCase
from tests.web.words import BAD, words_of_the_code
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.net.escaping import escape

_SAID = re.compile(
    r'<(p|div)[^>]*(?:class="[^"]*(?:fault|bad|warn|sentence)[^"]*"|role="alert")[^>]*>(.*?)</\1>',
    re.DOTALL,
)
_KEPT = ("csrf", "version", "next", "username")
GETS = ("/admin/explain", "/admin/audit", "/admin/sessions")
_ALONE = ("A b", "sit_" + "0" * 26)
"""What is tried in each field by itself: what only the store can refuse."""


def said(page):
    """Give what a page says is wrong."""
    found = re.sub(r"<p [^>]* hidden>.*?</p>", "", page.decode(), flags=re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]*>", " ", text)) for _, text in _SAID.findall(found)]


class FormTests(ProviderCase):
    """Every form that can be sent wrong: its fields, one after the other, with what can't be."""

    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)
        tunnel, user = self.make_tunnel("db"), self.people[Role.USER]
        self.assign(tunnel, self.make_user("alice"))
        group = self.api("POST", "/groups", {"name": "dba"})
        policy = self.api("POST", "/policies", {"name": "office"})
        connector = self.api("POST", "/connectors", {"name": "c", "site_id": tunnel["site_id"]})
        provider = self.make_provider()
        self.assign(tunnel, {"id": self.people[Role.ADMIN].id}, user_id=self.people[Role.ADMIN].id)
        self.pages = [
            *(f"/admin/{kind}/new" for kind in
              ("tunnels", "sites", "connectors", "users", "groups", "policies")),
            *(f"/admin/tunnels/{tunnel['id']}/{tab}" for tab in ("access", "settings")),
            *(f"/admin/users/{user.id}/{tab}" for tab in ("access", "settings")),
            f"/admin/groups/{group['id']}/settings", "/keys/new",
            f"/admin/sites/{tunnel['site_id']}/settings",
            f"/admin/connectors/{connector['id']}/settings",
            f"/admin/groups/{group['id']}", f"/admin/policies/{policy['id']}/settings",
            "/admin/settings", "/admin/settings/providers/new",
            f"/admin/settings/providers/{provider['id']}",
            *GETS, "/keys", "/account", "/device", f"/applications/{tunnel['id']}",
        ]  # fmt: skip

    def hold(self, answer, field, *typed):
        self.assertLess(answer.status, 500, field)
        texts = said(answer.body) if answer.status >= 400 else []
        for text in texts:
            found = words_of_the_code(text, *typed)
            self.assertEqual(found, [], f"{field} {typed[0][:60]!r}: {text[:300]}")
            self.assertLess(len(text), 600, f"{field}: {text[:200]}")
        return len(texts)

    def forms(self, path):
        """Give a page's forms that hold something, with an address and the names they send."""
        for action, fields in Forms(self.browser.get(path).body.decode()).forms:
            names = dict.fromkeys(name for name, _ in fields if name not in _KEPT)
            if names and "sign-out" not in (action or ""):
                yield action or path, fields, names

    def send(self, path, action, fields, changes):
        method = "GET" if path in GETS else "POST"
        if method == "GET":  # a longer line is no request
            changes = {name: text[:300] for name, text in changes.items()}
        sent = [(name, text) for name, text in fields if name not in changes]
        sent += changes.items()
        if method == "GET":
            answer = self.browser.ask(method, f"{path}?{urlencode(sent)}")
        else:
            answer = self.browser.ask(method, action, sent)
        stripped = [one.strip() for one in changes.values()]
        typed = dict.fromkeys([*changes.values(), *stripped, *map(escape, stripped)])
        return self.hold(answer, f"{action} {list(changes)}", *typed)

    def test_what_those_outside_are_told(self):
        user = self.make_user("bob")
        link = self.api("POST", f"/users/{user['id']}/invitations")["url"]
        self.browser, refused = Browser(self), 0
        for path in ("/sign-in", link.removeprefix(self.web_url)):
            for action, fields, names in self.forms(path):
                for bad in BAD:
                    refused += self.send(path, action, fields, dict.fromkeys(names, bad))
        self.assertGreater(refused, 10)

    def test_every_field_of_every_form(self):
        refused = 0
        for path in self.pages:
            for action, fields, names in self.forms(path):
                for bad in BAD[:7]:
                    refused += self.send(path, action, fields, dict.fromkeys(names, bad))
                for name in names:
                    for bad in _ALONE:
                        refused += self.send(path, action, fields, {name: bad})
        self.assertGreater(refused, 300)

"""Each provider of docs/identity-providers.md lets a new user in by the settings there."""

import re
import shlex
import sys
from pathlib import Path

from tests.web.portal.browser import Browser
from tests.web.portal.provider_case import ProviderCase
from tests.web.portal.shapes import SHAPES, ShapedProvider
from tunnelcloud.cli.object_options import IDENTITY_PROVIDER
from tunnelcloud.store import groups

PAGE = Path(__file__).parents[3] / "docs" / "identity-providers.md"


def settings_of(command):
    """Read the command of the page into what it sends."""
    words = iter(shlex.split(command.replace("\\\n", " "))[3:])
    found = {"name": next(words)}
    options = {flag: one for one in IDENTITY_PROVIDER.options for flag in one.flag.split("/")}
    for word in words:
        one = options[word]
        if one.kind is None:
            found[one.field] = word == one.flag.split("/")[0]
        elif one.pairs:
            value, _, name = next(words).rpartition("=")
            found.setdefault(one.field, {})[value] = name
        elif one.many:
            found.setdefault(one.field, []).append(next(words))
        else:
            found[one.field] = next(words)
    return found


COMMANDS = {
    one["name"]: one
    for one in map(
        settings_of,
        re.findall(r"^ {4}(tunnelcloud identity-provider create (?:.*\\\n)*.*)", PAGE.read_text(),
                   re.MULTILINE),
    )
}  # fmt: skip


class ShapeTests(ProviderCase):
    def test_the_page_has_them_all(self):
        self.assertEqual(set(COMMANDS), set(SHAPES))

    def begin(self, name):
        settings = COMMANDS[name]
        self.provider = ShapedProvider(SHAPES[name], settings["issuer"], settings["client_id"])
        self.provider.now = self.clock.seconds
        self.api("POST", "/groups", {"name": "dba"})
        body = {**settings, "client_secret": self.provider.client_secret, "create_users": True}
        return self.api("POST", "/identity-providers", body)

    def inside(self, user):
        return {one.name for one in self.store.read(groups.list_page, user_id=user.id).items}

    def lets_in(self, name):
        shape, made = SHAPES[name], self.begin(name)
        browser, answer = self.sign_in(name=name)
        self.assertEqual(answer.headers["location"], "/")
        browser.get("/")
        user = self.person(shape.name)
        self.assertEqual(user.email, shape.email)
        if shape.grouped is None:
            return
        self.assertEqual(self.inside(user), {"dba"})
        # Groups that aren't said are not "no groups".
        claim = made["groups_claim"]
        self.provider.person.pop(claim, None)
        kept = self.provider.told
        self.provider.told = {one: value for one, value in kept.items() if one != claim}
        self.sign_in(name=name)
        self.assertEqual(self.inside(user), {"dba"})
        (event,) = self.events("identity.groups_kept")
        reason = f"the provider's answer has no claim {claim}"
        self.assertEqual(event.data, {"provider": name, "reason": reason})
        self.sign_in(name=name, **shape.grouped)
        self.assertEqual(self.inside(user), set())
        self.assertEqual(self.person(shape.name), user)

    def test_entra(self):
        self.lets_in("entra")

    def test_okta(self):
        self.lets_in("okta")

    def test_google(self):
        self.lets_in("google")

    def test_keycloak(self):
        self.lets_in("keycloak")

    def test_authentik(self):
        self.lets_in("authentik")

    def test_zitadel(self):
        self.lets_in("zitadel")

    def test_cognito(self):
        self.lets_in("cognito")

    def test_auth0(self):
        self.lets_in("auth0")

    def test_gitlab(self):
        self.lets_in("gitlab")

    def test_adfs(self):
        self.lets_in("adfs")

    def test_entra_with_more_groups_than_it_lists(self):
        self.begin("entra")
        self.sign_in(name="entra")
        user = self.person("alice")
        self.assertEqual(self.inside(user), {"dba"})
        sources = {
            "src1": {"endpoint": "https://graph.microsoft.com/v1.0/users/x/getMemberObjects"}
        }
        for said in (
            {"_claim_names": {"groups": "src1"}, "_claim_sources": sources, "groups": None},
            {"hasgroups": True, "groups": None},
            {"groups": [f"group-{number}" for number in range(1001)]},
        ):
            self.sign_in(name="entra", **said)
            self.assertEqual(self.inside(user), {"dba"}, said.keys())
        reasons = [event.data["reason"] for event in self.events("identity.groups_kept")]
        self.assertEqual(len(reasons), 3)
        self.assertIn("more than 1000 groups", reasons[0])
        self.assertIn("more groups than the provider puts", reasons[-1])

    def test_roles_within_other_claims(self):
        settings = {**COMMANDS["keycloak"], "groups_claim": "realm_access.roles",
                    "group_map": {"dba": "dba"}}  # fmt: skip
        self.patch(sys.modules[__name__], "COMMANDS", {"keycloak": settings})
        self.begin("keycloak")
        self.sign_in(name="keycloak", realm_access={"roles": ["dba"]})
        self.assertEqual(self.inside(self.person("alice")), {"dba"})


class OddKeyTests(ProviderCase):
    def test_a_new_key_under_an_old_name_is_fetched_once_in_a_while(self):
        self.make_provider()
        self.sign_in()
        old = self.provider.signer.kid
        self.provider.rotate()
        renamed = type(self.provider.signer).import_key(
            {**self.provider.signer.as_dict(private=True), "kid": old}
        )
        self.provider.published, self.provider.signer = [renamed], renamed
        self.sign_in()[0].get("/")
        self.assertEqual(self.provider.asked.count(("GET", "/keys")), 2)

    def test_two_keys_under_one_name(self):
        self.make_provider()
        other = self.provider.signer
        self.provider.rotate()
        renamed = type(other).import_key(
            {**self.provider.signer.as_dict(private=True), "kid": other.kid}
        )
        self.provider.published, self.provider.signer = [other, renamed], renamed
        self.sign_in()[0].get("/")


class NameTests(ProviderCase):
    def setUp(self):
        super().setUp()
        self.make_provider(link_by="name")
        self.provider._userinfo = lambda _: {"sub": self.provider.person["sub"]}

    def becomes(self, said, name):
        self.provider.person["sub"] = f"somebody-{said!r}"
        self.sign_in(Browser(self), preferred_username=said)
        self.assertIsNotNone(self.person(name), said)
        self.assertEqual(self.events("identity.linked")[0].user_name, name)

    def test_names_that_can_be_none_become_some(self):
        for said, name in [
            ("bob@corp.example", "bob"),
            ("bob@other.example", "bob-2"),
            ("CORP\\carol", "carol"),
            ("Zoë B.", "zoe-b"),
            ("tcptunnel", "tcptunnel-2"),
            ("<b>", "b"),
            ("x" * 65, "x" * 64),
            ("x" * 66, "x" * 62 + "-2"),
        ]:
            self.becomes(said, name)

    def test_a_made_name_is_nobody_who_is_here_already(self):
        """Not even where users are found by their names: mallory chose the address."""
        self.becomes("the-admin@evil.example", "the-admin-2")

    def test_the_first_part_of_an_address_is_nobody_who_is_here_already(self):
        """Whose e-mail address begins with a user's name isn't that user for it."""
        person = self.provider.person
        person["email_verified"] = True
        for number, said in enumerate([None, "", " ", ["the-admin"]], 2):
            person["email"] = f"the-admin@evil-{number}.example"
            self.becomes(said, f"the-admin-{number}")
        self.make_provider("nameless", link_by="name", name_claim="")
        person["sub"], person["email"] = "somebody else", "the-admin@evil.example"
        self.sign_in(Browser(self), name="nameless")
        self.assertEqual(self.events("identity.linked")[0].user_name, "the-admin-6")

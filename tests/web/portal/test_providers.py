"""Signing in through identity providers: good ones, and ones that lie."""

import html
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt

from tests.web.portal.browser import Browser, PortalTestCase
from tests.web.portal.providers import (
    STRANGERS_KEY,
    Provider,
    signed_with_a_public_key,
    unsigned,
)
from tunnelcloud.domain.entities import Role
from tunnelcloud.pki import passing_sealer
from tunnelcloud.store import audit, groups, users

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
        return self.api("POST", "/identity-providers", body)

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


class GoodProviderTests(ProviderCase):
    def test_a_newcomer_becomes_a_user_and_stays_the_same(self):
        self.make_provider()
        browser, answer = self.sign_in(name="corp")
        self.assertEqual(answer.headers["location"], "/")
        browser.get("/")
        alice = self.person("alice")
        self.assertEqual((alice.role, alice.email), (Role.USER, "alice@example.com"))
        self.assertEqual(self.person("alice@example.com"), alice)
        # The name at the provider may change; the subject doesn't.
        browser, _ = self.sign_in(preferred_username="alice2")
        self.assertIn(b">alice</a>", browser.get("/account").body)
        self.assertIsNone(self.person("alice2"))
        (linked,) = self.events("identity.linked")
        self.assertEqual(linked.data["subject"], "alice-at-corp")
        self.assertIn(b"Corp", browser.get("/account").body)

    def test_what_the_provider_is_asked(self):
        self.make_provider()
        asked = dict(parse_qsl(urlsplit(self.go(Browser(self))).query))
        self.assertEqual(asked["redirect_uri"], f"https://portal.example.com{CALLBACK}")
        self.assertEqual(asked["scope"], "openid profile email")
        again = dict(parse_qsl(urlsplit(self.go(Browser(self))).query))
        for name in ("state", "nonce", "code_challenge"):
            self.assertGreaterEqual(len(asked[name]), 43)
            self.assertNotEqual(asked[name], again[name])

    def test_it_leads_where_one_wanted_to_go_and_nowhere_else(self):
        self.make_provider()
        for wanted, led in [("/keys?x=1", "/keys?x=1"), ("//evil.example", "/")]:
            browser = Browser(self)
            answer = self.provider.authorize(self.go(browser, next_page=wanted))
            self.assertEqual(self.come_back(browser, answer).headers["location"], led)

    def test_the_session_is_new_and_the_step_is_over(self):
        self.make_provider()
        browser = Browser(self)
        self.go(browser)
        step = browser.cookies["__Host-tunnelcloud-step"]
        browser, answer = self.sign_in(browser)
        self.assertNotIn("__Host-tunnelcloud-step", browser.cookies)
        self.assertNotIn(browser.cookies["__Host-tunnelcloud"], (step, ""))
        cookie = next(one for one in answer.cookies if one.startswith("__Host-tunnelcloud="))
        for word in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"]:
            self.assertIn(word, cookie.split("; "))

    def test_several_stand_side_by_side(self):
        self.make_provider()
        self.make_provider("other", issuer="https://other.example.com")
        self.make_provider("third", issuer="https://third.example.com", enabled=False)
        page = Browser(self).get("/sign-in").body
        self.assertIn(b"Sign in with Corp", page)
        self.assertIn(b"Sign in with Other", page)
        self.assertNotIn(b"Third", page)
        self.assertEqual(self.go(Browser(self), "third"), "/sign-in")

    def test_keys_rotate(self):
        self.make_provider()
        self.sign_in()
        self.provider.rotate()
        browser, _ = self.sign_in()
        browser.get("/")

    def test_unknown_keys_are_not_asked_for_again_and_again(self):
        self.make_provider()
        self.provider.signer = STRANGERS_KEY
        for _ in range(5):
            self.sign_in(status=403)
        self.assertEqual(self.provider.asked.count(("GET", "/keys")), 2)
        self.clock.advance(31)
        self.sign_in(status=403)
        self.assertEqual(self.provider.asked.count(("GET", "/keys")), 3)

    def test_a_public_client_and_one_that_posts_its_secret(self):
        self.provider.metadata_lies = {
            "token_endpoint_auth_methods_supported": ["client_secret_post"]
        }
        self.make_provider()
        self.sign_in()[0].get("/")
        self.clock.advance(3601)
        self.provider.client_secret = None
        self.provider.metadata_lies = {}
        (provider,) = self.api("GET", "/identity-providers")["items"]
        path = f"/identity-providers/{provider['id']}"
        changed = self.api("PATCH", path, {"client_secret": None})
        self.assertIs(changed["has_client_secret"], False)
        self.sign_in()[0].get("/")

    def test_groups_follow_the_claim(self):
        for name in ("dba", "ops", "own"):
            self.store.write(groups.create, name=name)
        self.make_provider(groups_claim="roles", group_map={"db-admins": "dba", "Ops": "ops"})
        self.sign_in(roles=["db-admins", "others", 7])
        alice = self.person("alice")
        own = self.store.read(groups.find, "own")
        self.store.write(groups.add_member, own.id, alice.id)

        def inside():
            return {one.name for one in self.store.read(groups.list_page, user_id=alice.id).items}

        self.assertEqual(inside(), {"dba", "own"})
        self.sign_in(roles="Ops")
        self.assertEqual(inside(), {"ops", "own"})
        self.sign_in()
        self.assertEqual(inside(), {"own"})

    def test_signing_out_leads_by_the_provider(self):
        self.make_provider()
        browser, _ = self.sign_in()
        answer = browser.send("/", action="/sign-out")
        page = browser.get(answer.headers["location"]).body.decode()
        self.assertIn("https://login.example.com/logout?client_id=tunnelcloud", page)
        browser.get("/", 303)

    def test_signing_out_works_while_the_provider_is_away(self):
        self.make_provider()
        browser, _ = self.sign_in()
        self.clock.advance(3700)
        self.provider.away = True
        answer = browser.send("/", action="/sign-out")
        self.assertEqual(answer.headers["location"], "/sign-in")

    def test_disabling_or_deleting_a_provider_ends_what_it_vouched_for(self):
        path = f"/identity-providers/{self.make_provider()['id']}"
        browser, _ = self.sign_in()
        self.api("PATCH", path, {"enabled": False})
        browser.get("/", 303)
        self.api("PATCH", path, {"enabled": True})
        browser, _ = self.sign_in()
        self.api("DELETE", path)
        browser.get("/", 303)


class WhoTests(ProviderCase):
    def test_a_stranger_where_no_users_are_made(self):
        self.make_provider(create_users=False)
        _, answer = self.sign_in(status=403)
        self.refused(answer, "there is no user for you here", "Ask an administrator")
        self.assertIsNone(self.person("alice"))

    def test_linked_by_verified_e_mail(self):
        carol = self.store.write(users.create, name="carol", email="alice@example.com")
        self.make_provider(create_users=False, link_by="email")
        browser, _ = self.sign_in()
        self.assertIn(b">carol</a>", browser.get("/account").body)
        self.assertEqual(self.events("identity.linked")[0].user_id, carol.id)
        (provider,) = self.api("GET", "/identity-providers")["items"]
        admin = self.signed_in(Role.ADMIN)
        row = admin.get("/admin/users").body.decode().split(f'id="{carol.id}"')[1]
        self.assertIn(f"<td>{provider['name']}</td>", row.split("</tr>")[0])
        self.assertIn(f"· {provider['name']}", admin.get(f"/admin/users/{carol.id}").body.decode())

    def test_an_e_mail_that_is_not_verified_links_nothing(self):
        self.store.write(users.create, name="carol", email="alice@example.com")
        self.make_provider(link_by="email")
        self.provider._userinfo = lambda _: {"sub": f"mallory-{lie}"}
        for lie in (False, "true", 1, None):
            self.provider.person["sub"] = f"mallory-{lie}"
            self.sign_in(
                email="alice@example.com",
                email_verified=lie,
                preferred_username=f"mallory{str(lie).lower()}",
            )
        self.assertEqual(self.person("carol").id, self.person("alice@example.com").id)
        linked = [one.user_name for one in self.events("identity.linked")]
        self.assertNotIn("carol", linked)

    def test_an_e_mail_of_one_answer_is_not_verified_by_another(self):
        """The ID token names one address, unverified; another one is verified at userinfo."""
        carol = self.store.write(users.create, name="carol", email="carol@example.com")
        self.make_provider(link_by="email", name_claim="nickname")
        self.provider.person["email"] = "carol@example.com"
        self.provider.person["nickname"] = None
        self.provider._userinfo = lambda _: {
            "sub": "alice-at-corp",
            "nickname": "mallory",
            "email": "mallory@example.com",
            "email_verified": True,
        }
        self.sign_in()
        self.assertNotEqual(self.events("identity.linked")[0].user_id, carol.id)

    def test_linked_by_name(self):
        self.store.write(users.create, name="alice")
        self.make_provider(create_users=False, link_by="name")
        self.sign_in()
        # Another subject of the same name is somebody else.
        self.provider.person["sub"] = "mallory"
        _, answer = self.sign_in(status=403)
        self.refused(answer, "no user for you")

    def test_a_name_that_is_taken_is_not_taken_over(self):
        self.make_provider()
        self.provider.person["preferred_username"] = "the-admin"
        _, answer = self.sign_in(status=403)
        self.refused(answer, "There is a user the-admin here already", "ask an administrator")

    def test_names_that_cannot_be(self):
        self.make_provider()
        self.provider._userinfo = lambda _: {"sub": "alice-at-corp"}
        for name in ["", "a b", "tcptunnel", "<b>", "a" * 65, "\u202e", ["alice"], None]:
            _, answer = self.sign_in(status=403, preferred_username=name)
            self.refused(answer, "no name that a user here can have")

    def test_the_first_part_of_the_e_mail_names_who_has_no_name(self):
        self.make_provider()
        self.sign_in(preferred_username=None)
        self.assertIsNotNone(self.person("alice"))

    def test_a_blocked_user(self):
        self.make_provider()
        browser, _ = self.sign_in()
        self.store.write(users.update, self.person("alice").id, {"blocked": True})
        browser.get("/", 303)
        _, answer = self.sign_in(status=403)
        self.refused(answer, "may not sign in")


class HostileProviderTests(ProviderCase):
    """Every fault is refused with a page that says what to do, and nobody is signed in."""

    def setUp(self):
        super().setUp()
        self.make_provider()

    def fails(self, *words, **person):
        browser, answer = self.sign_in(status=403, **person)
        self.refused(answer, *words)
        self.assertNotIn("__Host-tunnelcloud", browser.cookies)
        browser.get("/", 303)
        self.assertIsNone(self.person("alice"))
        return self.events("web_login.refused")[0].data["reason"]

    def test_the_state_of_another_browser(self):
        mine, theirs = Browser(self), Browser(self)
        self.go(mine)
        answer = self.provider.authorize(self.go(theirs))
        self.refused(self.come_back(mine, answer, 403), "begun in this browser")
        for state in ["", "x", answer["state"][:-1], "\u00e9"]:
            self.refused(self.come_back(Browser(self), {**answer, "state": state}, 403), "begun in")

    def test_an_answer_without_a_state_or_a_beginning(self):
        answer = self.provider.authorize(self.go(Browser(self)))
        self.refused(self.come_back(Browser(self), answer, 403), "begun in this browser")
        del answer["state"]
        browser = Browser(self)
        self.go(browser)
        self.refused(self.come_back(browser, answer, 403), "begun in this browser")
        self.assertNotIn("__Host-tunnelcloud", browser.cookies)

    def test_an_answer_serves_once(self):
        browser = Browser(self)
        answer = self.provider.authorize(self.go(browser))
        kept = dict(browser.cookies)
        self.come_back(browser, answer)
        again = Browser(self, cookies=kept)
        self.refused(self.come_back(again, answer, 403), "used before")
        self.assertNotIn("__Host-tunnelcloud", again.cookies)

    def test_an_answer_that_is_too_late(self):
        browser = Browser(self)
        answer = self.provider.authorize(self.go(browser))
        self.store.write(
            lambda transaction: transaction.connection.exec_driver_sql(
                "UPDATE sign_in_steps SET expires_at = 0"
            )
        )
        self.refused(self.come_back(browser, answer, 403), "begun in this browser")

    def test_a_code_of_somebody_elses_sign_in(self):
        """Code injection: the verifier and the nonce are of this browser."""
        theirs = self.provider.authorize(self.go(Browser(self)))
        mine = Browser(self)
        answer = self.provider.authorize(self.go(mine))
        answer["code"] = theirs["code"]
        self.refused(self.come_back(mine, answer, 403), "doesn't take back the code")

    def test_the_nonce(self):
        for nonce in ["x", "", 7, None]:
            self.provider.lies = {"nonce": nonce}
            self.assertEqual(self.fails("belongs to another sign-in", "Start again"), "nonce")

    def test_the_issuer(self):
        for issuer in ["https://evil.example", "https://login.example.com/", None]:
            self.provider.lies = {"iss": issuer}
            self.assertEqual(self.fails("issued by another provider"), "issuer")

    def test_who_answers(self):
        """Mix-up: the answer has to name the provider that was asked (RFC 9207)."""
        for issuer in ["https://evil.example", None]:
            browser = Browser(self)
            answer = self.provider.authorize(self.go(browser))
            answer = {**answer, "iss": issuer} if issuer else {"code": answer["code"],
                                                              "state": answer["state"]}  # fmt: skip
            self.refused(self.come_back(browser, answer, 403), "another provider", "Don't go on")

    def test_the_audience(self):
        for lies in [
            {"aud": "another"},
            {"aud": ["another"]},
            {"aud": None},
            {"azp": "another"},
            {"aud": ["tunnelcloud", "another"], "azp": "another"},
        ]:
            self.provider.lies = lies
            self.assertEqual(self.fails("another application"), "audience")

    def test_the_time(self):
        now = int(self.clock.seconds())
        for lies in [
            {"exp": now - 61},
            {"iat": now - 3600, "exp": now + 60},
            {"iat": now + 120},
            {"exp": None},
            {"iat": "now"},
            {"exp": True},
        ]:
            self.provider.lies = lies
            self.assertEqual(self.fails("What the provider says about you"), "expiry")

    def test_the_signature(self):
        self.provider.signer = STRANGERS_KEY
        self.assertEqual(self.fails("not signed by a key", "Don't go on"), "signature")
        self.provider = Provider()
        self.provider.now = self.clock.seconds
        for made in [
            unsigned,
            signed_with_a_public_key,
            lambda claims: self.provider.sign(claims)[:-8] + "AAAAAAAA",
            lambda claims: "a.b.c",
            lambda claims: "",
            lambda claims: "\u00e9",
        ]:
            self.provider.id_token = made
            self.assertEqual(self.fails("not signed by a key"), "signature")
        self.provider.id_token = lambda claims: None
        self.provider.id_token = lambda claims: {"not": "a string"}
        self.assertEqual(self.fails("sent no ID token"), "id_token")

    def test_the_signature_of_another_key_under_a_known_name(self):
        known = self.provider.signer.kid
        stranger = STRANGERS_KEY
        header = {"alg": "RS256", "kid": known}
        self.provider.id_token = lambda claims: jwt.encode(header, claims, stranger)
        self.assertEqual(self.fails("not signed by a key"), "signature")

    def test_somebody_else_at_the_userinfo_endpoint(self):
        self.provider._userinfo = lambda _: {"sub": "bob", "email": "bob@example.com"}
        self.assertEqual(self.fails("two different people"), "subject")

    def test_a_subject_that_is_none(self):
        for subject in [None, "", 7, "x" * 256]:
            self.provider.lies = {"sub": subject}
            self.assertEqual(self.fails("doesn't say who you are"), "subject")

    def test_errors_of_the_provider(self):
        for error, words in [
            ("access_denied", "didn't let you in"),
            ("server_error", "server_error"),
            ("<script>alert(1)</script>", "an error"),
        ]:
            browser = Browser(self)
            state = dict(parse_qsl(urlsplit(self.go(browser)).query))["state"]
            answer = {"error": error, "state": state, "iss": self.provider.issuer}
            page = self.come_back(browser, answer, 403)
            self.refused(page, words)
            self.assertNotIn(b"<script>alert", page.body)

    def test_a_provider_that_calls_itself_otherwise(self):
        self.provider.metadata_lies = {"issuer": "https://login.example.com/"}
        answer = Browser(self).get("/sign-in/with/corp", 403)
        self.refused(answer, "calls itself", "set the provider's issuer exactly")

    def test_endpoints_that_may_not_be_asked(self):
        for lies in [
            {"token_endpoint": "http://login.example.com/token"},
            {"token_endpoint": "http://127.0.0.1/token"},
            {"authorization_endpoint": "javascript:alert(1)"},
            {"jwks_uri": None},
            {"jwks_uri": "https://user@login.example.com/"},
            {"authorization_endpoint": "https://login.example.com/a\r\nSet-Cookie: a=b"},
            {"token_endpoint": "https://login.example.com/\u00e9"},
        ]:
            self.provider.metadata_lies = lies
            self.clock.advance(6)
            answer = Browser(self).get("/sign-in/with/corp", 403)
            self.refused(answer, f"no usable {next(iter(lies))}")

    def test_a_provider_that_is_away(self):
        self.provider.away = True
        for _ in range(5):
            answer = Browser(self).get("/sign-in/with/corp", 403)
            self.refused(answer, "can't be reached", "Try again")
        # It isn't asked once for everybody who presses the button.
        self.assertEqual(len(self.provider.asked), 1)
        self.provider.away = False
        self.clock.advance(6)
        self.sign_in()[0].get("/")

    def test_one_providers_answer_at_anothers_address(self):
        """Token substitution: a step is of one provider, and so is a subject."""
        other = Provider("https://other.example.com")
        other.now = self.clock.seconds
        self.others["other.example.com"] = other
        self.make_provider("other", issuer=other.issuer)
        browser = Browser(self)
        answer = other.authorize(self.go(browser, "other"))
        self.refused(self.come_back(browser, answer, 403), "begun in this browser")
        other.published, other.signer = [STRANGERS_KEY], STRANGERS_KEY
        other.id_token = lambda claims: self.provider.sign({**claims, "iss": self.provider.issuer})
        browser = Browser(self)
        answer = other.authorize(self.go(browser, "other"))
        page = self.come_back(browser, answer, 403, "/sign-in/with/other/callback")
        self.refused(page, "not signed by a key")

    def test_the_same_subject_at_another_provider_is_somebody_else(self):
        self.sign_in()
        other = Provider("https://other.example.com")
        other.now = self.clock.seconds
        self.others["other.example.com"] = other
        self.make_provider("other", issuer=other.issuer)
        browser = Browser(self)
        answer = other.authorize(self.go(browser, "other"))
        page = self.come_back(browser, answer, 403, "/sign-in/with/other/callback")
        self.refused(page, "There is a user alice here already")


class ProviderObjectTests(ProviderCase):
    def test_a_secret_goes_in_and_never_comes_out(self):
        made = self.make_provider(client_secret="canary-1")
        path = f"/identity-providers/{made['id']}"
        self.assertIs(made["has_client_secret"], True)
        self.assertEqual(made["redirect_uri"], f"https://portal.example.com{CALLBACK}")
        changed = self.api("PATCH", path, {"client_secret": "canary-2", "title": "New"})
        listed = self.api("GET", "/identity-providers")
        events = self.api("GET", "/audit")
        self.assertNotIn("canary", f"{made}{changed}{listed}{events}")
        self.assertEqual((changed["title"], changed["has_client_secret"]), ("New", True))
        row = self.store.read(
            lambda transaction: transaction.connection.exec_driver_sql(
                "SELECT sealed_client_secret FROM identity_providers"
            ).scalar()
        )
        self.assertNotIn(b"canary", row)

    def test_what_cannot_be(self):
        for fields, at in [
            ({"issuer": "http://login.example.com"}, "issuer"),
            ({"issuer": "ftp://x"}, "issuer"),
            ({"issuer": "https://x/?a=b"}, "issuer"),
            ({"link_by": "luck"}, "link_by"),
            ({"scopes": ["a b"]}, "scopes.0"),
        ]:
            body = {"name": "x", "issuer": "https://x", "client_id": "c", **fields}
            answer = self.ask("POST", "/api/v1/identity-providers", body)
            self.assertEqual((answer.status, answer.faults), (422, [at]), fields)
        body = {"name": "x", "issuer": "https://x", "client_id": "c", "group_map": {"x": "nobody"}}
        answer = self.ask("POST", "/api/v1/identity-providers", body)
        self.assertEqual((answer.status, answer.faults), (409, ["group_map"]))

    def test_an_issuer_stays(self):
        path = f"/api/v1/identity-providers/{self.make_provider()['id']}"
        answer = self.ask("PATCH", path, {"issuer": "https://other.example.com"})
        self.assertEqual(answer.status, 422)

    def test_another_pods_secrets(self):
        made = self.make_provider()
        other = passing_sealer()
        sealed = other.seal(b"x", f"client secret of {made['id']}")
        self.store.write(
            lambda transaction: transaction.connection.exec_driver_sql(
                "UPDATE identity_providers SET sealed_client_secret = ?", (sealed,)
            )
        )
        _, answer = self.sign_in(status=503)
        self.assertIn(b"sealing.key", answer.body)


class ProviderPageTests(ProviderCase):
    NEW = "/admin/settings/providers/new"

    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)
        self.store.write(groups.create, name="dba")

    def add(self, status=303, **fields):
        form = {
            "name": "corp",
            "issuer": self.provider.issuer,
            "client_id": "tunnelcloud",
            "client_secret": self.provider.client_secret,
            "create_users": "on",
            "groups_claim": "roles",
            "group_map": "db=admins = dba\r\n\r\n",
            **fields,
        }
        return self.browser.send(self.NEW, form, status=status)

    def test_it_is_added_used_changed_and_deleted(self):
        self.assertIn(b"None: people sign in", self.browser.get("/admin/settings").body)
        path = self.add().headers["location"]
        (made,) = self.api("GET", "/identity-providers")["items"]
        self.assertEqual(made["group_map"], {"db=admins": "dba"})
        self.assertIn(made["redirect_uri"].encode(), self.browser.get(path).body)
        self.assertIn(b"corp", self.browser.get("/admin/settings").body)
        self.sign_in(roles=["db=admins"])
        # Saved as it is shown: nothing changes, the secret among it.
        self.browser.send(path, action=path)
        self.assertEqual(self.api("GET", "/identity-providers")["items"], [made])
        self.sign_in()
        self.browser.send(path, {"no_secret": "on", "title": "Corp"}, action=path)
        (changed,) = self.api("GET", "/identity-providers")["items"]
        self.assertEqual((changed["title"], changed["has_client_secret"]), ("Corp", False))
        self.browser.send(path, action=f"{path}/delete")
        self.assertEqual(self.api("GET", "/identity-providers")["items"], [])

    def test_what_is_wrong_is_said_at_the_field_and_what_was_typed_stays(self):
        for field, value in [
            ("issuer", "http://x"),
            ("group_map", "dba"),
            ("group_map", "x = nobody"),
            ("name", "A b"),
            ("client_id", ""),
        ]:
            page = html.unescape(self.add(422, **{field: value}).body.decode())
            self.assertIn(f'id="{field}-error"', page)
            self.assertIn(value, page)
            self.assertNotIn(self.provider.client_secret, page)
        self.assertEqual(self.api("GET", "/identity-providers")["items"], [])

    def test_an_auditor_reads(self):
        path = self.add().headers["location"]
        auditor = self.signed_in(Role.AUDITOR)
        page = auditor.get(path).body
        self.assertNotIn(b'<button class="main"', page)
        self.assertNotIn(self.provider.client_secret.encode(), page)
        auditor.get(self.NEW, 403)

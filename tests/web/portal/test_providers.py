"""Signing in through identity providers that are as they should be, and who that is then."""

from urllib.parse import parse_qsl, urlsplit

from tests.web.portal.browser import Browser
from tests.web.portal.provider_case import CALLBACK, ProviderCase
from tests.web.portal.providers import STRANGERS_KEY, Provider
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import groups, users


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
        self.others["other.example.com"] = Provider("https://other.example.com")
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
        self.sign_in()  # without the claim it isn't known that there are none
        self.assertEqual(inside(), {"ops", "own"})
        self.sign_in(roles=[])
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
        self.assertIn(f">{provider['name']}</td>", row.split("</tr>")[0])
        self.assertIn(f"· {provider['name']}", admin.get(f"/admin/users/{carol.id}").body.decode())

    def test_an_e_mail_that_is_not_verified_links_nothing(self):
        self.store.write(users.create, name="carol", email="alice@example.com")
        self.make_provider(link_by="email")
        self.provider._userinfo = lambda _: {"sub": f"mallory-{lie}"}
        for lie in (False, "no", 1, None):
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

    def test_nor_is_one_that_only_the_other_answer_names(self):
        """The ID token says that something is verified, and userinfo names what isn't."""
        carol = self.store.write(users.create, name="carol", email="carol@example.com")
        self.make_provider(link_by="email")
        for verified in (False, None):
            subject = f"mallory-{verified}"
            self.provider.person["sub"] = subject
            more = {} if verified is None else {"email_verified": verified}
            self.provider._userinfo = lambda _, subject=subject, more=more: {
                "sub": subject,
                "email": "carol@example.com",
                **more,
            }
            self.sign_in(email_verified=True, preferred_username=subject.lower())
        linked = [one.user_id for one in self.events("identity.linked")]
        self.assertEqual(len(linked), 2)
        self.assertNotIn(carol.id, linked)

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
        for name in ["", " ", "\u5c71\u7530", "-._", "\u202e", ["alice"], None]:
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

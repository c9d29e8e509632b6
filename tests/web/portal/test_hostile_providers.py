"""Signing in through identity providers that lie, and through what others make of their answers."""

import json
from base64 import urlsafe_b64encode
from urllib.parse import parse_qsl, urlsplit

from joserfc import jws, jwt
from joserfc.jwk import ECKey, RSAKey
from twisted.trial.unittest import SynchronousTestCase

from tests.web.portal.browser import Browser
from tests.web.portal.provider_case import ProviderCase
from tests.web.portal.providers import STRANGERS_KEY, Provider, signed_with_a_public_key, unsigned
from tunnelcloud.net.fair_work import FairWork, TooMuchWork
from tunnelcloud.web.oidc import id_tokens
from tunnelcloud.web.oidc.directory import _usable_key

DEEP = b"[" * 50_000
DEEP_PART = urlsafe_b64encode(DEEP).decode("ascii").rstrip("=")


def deep_token(key, more):
    """Sign brackets that are nested without end."""
    return jws.serialize_compact({"alg": "RS256", "kid": key.kid, **more}, DEEP, key)


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

    def test_many_that_wait_for_a_silent_provider(self):
        async def run(_, source, work):
            self.assertEqual(source, "192.168.1.1")
            work.close()
            raise TooMuchWork

        self.patch(FairWork, "run", run)
        _, answer = self.sign_in(status=403)
        self.refused(answer, "Too many sign-ins from your network", "Try again in a while")
        self.assertNotIn(("POST", "/token"), self.provider.asked)

    def test_codes_that_the_provider_never_gave(self):
        """Each would be a connection to the provider, hundreds a second by one stranger."""
        for number in range(12):
            browser = Browser(self)
            answer = {**self.provider.authorize(self.go(browser)), "code": f"made up {number}"}
            page = self.come_back(browser, answer, 403)
        self.refused(page, "Too many sign-ins from your network", "Try again in a while")
        self.assertLessEqual(self.provider.asked.count(("POST", "/token")), 4)
        self.clock.advance(30)
        self.sign_in()

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
        self.clock.advance(601)
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
            lambda claims: deep_token(self.provider.signer, {}),
            lambda claims: f"{DEEP_PART}.e30.AAAA",
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
            {"token_endpoint": "https://127.1/token"},
            {"jwks_uri": "https://2130706433/keys"},
            {"jwks_uri": "https://0x0a000001/keys"},
            {"token_endpoint": "https://localhost./token"},
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

    def test_half_of_a_character(self):
        """JSON may hold one, and no database can."""

        def sign(claims):
            key = self.provider.signer
            return jws.serialize_compact({"alg": "RS256", "kid": key.kid}, json.dumps(claims), key)

        self.provider.id_token = sign
        for lies in ({"name": "A\ud800"}, {"sub": "a\ud800"}, {"more": {"\ud800": 1}}):
            self.provider.lies = lies
            self.assertEqual(self.fails("half of a character"), "characters")
        self.provider.lies = {}
        self.provider._userinfo = lambda _: {"sub": "alice-at-corp", "name": "A\ud800"}
        self.assertEqual(self.fails("is not a JSON object"), "metadata")

    def test_an_answer_that_is_long(self):
        self.provider.metadata_lies = {"more": "x" * 131_072}
        answer = Browser(self).get("/sign-in/with/corp", 403)
        self.refused(answer, "is longer than 131072 bytes")

    def test_ways_to_show_the_secret_that_are_none(self):
        for said in (None, 5, "client_secret_post", {}):
            self.provider.metadata_lies = {"token_endpoint_auth_methods_supported": said}
            self.clock.advance(3601)
            browser, _ = self.sign_in()
            browser.get("/")

    def test_a_token_that_demands_nonsense(self):
        for demanded in (5, None, [None], [[]]):
            self.provider.id_token = lambda claims, crit=demanded: ".".join(
                urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
                for part in ({"alg": "RS256", "crit": crit}, claims, "signature")
            )
            self.assertEqual(self.fails("not signed by a key"), "signature")
            self.clock.advance(30)

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

    def another_provider(self):
        other = Provider("https://other.example.com")
        other.now = self.clock.seconds
        self.others["other.example.com"] = other
        self.make_provider("other", issuer=other.issuer)
        return other

    def test_one_providers_answer_at_anothers_address(self):
        """Token substitution: a step is of one provider, and so is a subject."""
        other = self.another_provider()
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
        other = self.another_provider()
        browser = Browser(self)
        answer = other.authorize(self.go(browser, "other"))
        page = self.come_back(browser, answer, 403, "/sign-in/with/other/callback")
        self.refused(page, "There is a user alice here already")


class PublishedKeyTests(SynchronousTestCase):
    def key(self, exponent):
        """Publish a key of 2,048 bits."""
        numbers = {"n": (1 << 2048) - 1, "e": exponent}
        texts = {
            name: urlsafe_b64encode(value.to_bytes(256, "big")).decode().rstrip("=")
            for name, value in numbers.items()
        }
        return _usable_key({"kty": "RSA", **texts})

    def test_an_exponent_that_makes_each_signature_cost_much(self):
        """A hundred such keys, tried twice, would keep the pod for more than a second."""
        self.assertIsNotNone(self.key(65537))
        self.assertIsNone(self.key((1 << 2040) + 1))

    def test_a_private_key_is_read_as_a_public_one(self):
        """To check one of 4,096 bits takes half a second, and to find its primes three times as
        long."""
        published = RSAKey.generate_key(2048).as_dict(private=True)
        for left_out in ((), ("p", "q", "dp", "dq", "qi")):
            shown = {name: one for name, one in published.items() if name not in left_out}
            key = _usable_key(shown)
            self.assertIsNotNone(key)
            self.assertFalse(key.is_private)

    def test_keys_that_are_none(self):
        good = RSAKey.generate_key(2048, private=False).as_dict()
        self.assertIsNotNone(_usable_key(good))
        for lies in ({"key_ops": 5}, {"key_ops": True}, {"key_ops": "verify"}, {"n": "A" * 1401}):
            self.assertIsNone(_usable_key({**good, **lies}), lies)

    def test_a_token_is_tried_with_few_keys(self):
        """A hundred keys on P-521 take a tenth of a second."""
        tried = []
        self.patch(id_tokens.jwt, "decode", lambda _, key, **__: tried.append(key) or 1 / 0)
        self.patch(id_tokens, "_UNREADABLE", ZeroDivisionError)
        keys = [ECKey.generate_key("P-521", private=False) for _ in range(30)]
        keys[:0] = [RSAKey.generate_key(2048, private=False)]
        self.assertIsNone(id_tokens._decoded("", keys, {"alg": "ES512"}))
        self.assertEqual(tried, keys[1:11])
        tried.clear()
        self.assertIsNone(id_tokens._decoded("", keys, {"alg": "RS256"}))
        self.assertEqual(tried, keys[:1])
        self.assertIsNone(id_tokens._decoded("", keys, {"alg": 5}))

"""What an administrator reads when no certificate comes of an order, and how long one may last."""

import json
from types import SimpleNamespace

from acme import challenges as challenges_of_acme
from acme import errors, messages
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.fetching import Fetched, FetchFailed
from tunnelcloud.pod.acme import ordering
from tunnelcloud.pod.acme.ordering import (
    MAX_BYTES,
    MAX_REQUESTS,
    ORDER_SECONDS,
    Notebook,
    OrderFailed,
    order,
)
from tunnelcloud.settings.web import AcmeSettings

DIRECTORY = "https://ca.example.com/dir"
PATHS = {"newAccount": "account", "newNonce": "nonce", "newOrder": "order"}


def answer(said, status=200, **headers):
    return Fetched(status, json.dumps(said).encode(), {"replay-nonce": "bm9uY2U", **headers})


class OrderTestCase(SynchronousTestCase):
    def refuse(self, *answers):
        """Have the authority do something else than it should; give the failure."""
        left = list(answers)
        self.asked = []

        def ask(method, address, headers, body):
            self.asked.append((method, address, headers, body))
            said = left.pop(0) if len(left) > 1 else left[0]
            said = said() if callable(said) else said
            if isinstance(said, Exception):
                raise said
            return said

        notebook = Notebook(lambda answers: None, lambda account: None)
        settings = AcmeSettings(directory=DIRECTORY)
        return self.assertRaises(OrderFailed, order, settings, ["a.example"], None, notebook, ask)

    def directory(self, **more):
        return answer({**{name: f"https://ca.example.com/{PATHS[name]}" for name in PATHS}, **more})


class FailureTests(OrderTestCase):
    def test_lines(self):
        refused = messages.Error.with_code("unauthorized", detail="no\nway").to_json()
        for said, words in (
            (FetchFailed("the connection was refused"), "can't be reached: the connection was ref"),
            (FetchFailed("self-signed", untrusted=True), "reached: self-signed: set web.acme.ca"),
            (Fetched(500, b"odd"), "answers otherwise than RFC 8555 says"),
            (Fetched(302, b"", {"location": "https://127.0.0.1/"}), "answers otherwise than RFC"),
            (answer(refused, 403), "refused: no way"),
        ):
            failed = self.refuse(said)
            self.assertIn(words, str(failed))
            self.assertNotIn("\n", str(failed))
            self.assertEqual(failed.wait, 0)
            self.assertEqual([one[:2] for one in self.asked], [("GET", DIRECTORY)])

    def test_a_rate_limit_wants_patience(self):
        limited = messages.Error.with_code("rateLimited", detail="too many").to_json()
        failed = self.refuse(answer(limited, 429))
        self.assertEqual((str(failed), failed.wait), ("the authority refused: too many", 3600))

    def test_something_else_than_a_directory(self):
        for said in ([], {}, {"newAccount": "x"}, "x", None):
            self.assertIn("isn't an ACME authority's directory", str(self.refuse(answer(said))))

    def test_an_authority_for_its_customers_alone(self):
        failed = self.refuse(self.directory(meta={"externalAccountRequired": True}))
        self.assertIn("external account binding", str(failed))

    def test_what_an_authority_says_is_harmless(self):
        said = messages.Error(detail="\x1b[2J" + "x" * 5000).to_json()
        failed = self.refuse(answer(said, 400))
        self.assertTrue(str(failed).isprintable())
        self.assertLess(len(str(failed)), 400)

    def test_an_address_elsewhere_in_plain_text(self):
        failed = self.refuse(self.directory(newNonce="http://169.254.169.254/latest"))
        self.assertIn("which isn't an address of HTTPS", str(failed))
        self.assertEqual(len(self.asked), 1)


class BoundTests(OrderTestCase):
    """An authority may answer each request in time, and hold an order for ever nevertheless."""

    def without_an_end(self):
        """Give an order with as many names to be proved as fit into an answer."""
        order = {
            "status": "pending",
            "identifiers": [{"type": "dns", "value": "a.example"}],
            "authorizations": ["https://ca.example.com/authorization"] * 5000,
            "finalize": "https://ca.example.com/finalize",
        }
        proof = {
            "status": "pending",
            "identifier": {"type": "dns", "value": "a.example"},
            "challenges": [],
        }
        made = answer(order, 201, location="https://ca.example.com/order/1")
        account = answer({"status": "valid"}, 201, location="https://ca.example.com/account/1")
        return self.directory(), answer({}), account, made, answer(proof)

    def test_many_requests(self):
        failed = self.refuse(*self.without_an_end())
        self.assertEqual(len(self.asked), MAX_REQUESTS)
        self.assertIn("asked 1000 times", str(failed))

    def test_a_wait_beyond_all_times(self):
        *first, _ = self.without_an_end()
        proof = {
            "status": "valid",
            "identifier": {"type": "dns", "value": "a.example"},
            "challenges": [],
        }
        order = {**json.loads(first[3].body), "authorizations": ["https://ca.example.com/proof"]}
        first[3] = answer(order, 201, location="https://ca.example.com/order/1")
        waits = answer({**order, "status": "processing"}, **{"retry-after": "9" * 30})
        failed = self.refuse(*first, answer(proof), answer(proof), waits)
        self.assertIn("otherwise than RFC 8555 says", str(failed))

    def test_many_long_answers(self):
        *first, proof = self.without_an_end()
        body = {**json.loads(proof.body), "challenges": [{"type": "x" * (MAX_BYTES // 20)}]}
        failed = self.refuse(*first, answer(body))
        self.assertLess(len(self.asked), 30)
        self.assertIn(f"said more than {MAX_BYTES} bytes", str(failed))

    def test_many_reasons_are_told_in_part(self):
        """The library gives an authorization as often as it has challenges that failed."""
        read = []

        class Refused:
            @property
            def detail(self):
                read.append(1)
                return "no"

        def authorization(name, challenges):
            one = SimpleNamespace(error=Refused(), chall=challenges_of_acme.HTTP01(token=b""))
            body = SimpleNamespace(
                identifier=SimpleNamespace(value=name), challenges=[one] * challenges
            )
            return SimpleNamespace(body=body)

        many = authorization("a.example", 2000)
        said = ordering.why_invalid(errors.ValidationError([many] * 2000))
        self.assertLess(len(read), 100)
        self.assertIn("a.example by http-01: no", said)
        one, other = authorization("a.example", 2), authorization("b.example", 1)
        said = ordering.why_invalid(errors.ValidationError([one, one, other]))
        for name in ("a.example", "b.example"):
            self.assertIn(f"{name} by http-01: no", said)

    def test_a_whole_order_has_a_deadline(self):
        *first, proof = self.without_an_end()
        self.now = 0.0
        self.patch(ordering.time, "monotonic", lambda: self.now)

        def slowly():
            self.now += 9
            return proof

        failed = self.refuse(*first, slowly)
        self.assertIn(f"within {ORDER_SECONDS} s", str(failed))
        self.assertEqual(len(self.asked) - len(first), ORDER_SECONDS // 9)

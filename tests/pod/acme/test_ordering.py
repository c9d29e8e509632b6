"""What an administrator reads when no certificate comes of an order; no authority is asked."""

import json

import requests
from acme import errors, messages
from acme.client import ClientNetwork
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pod.acme.ordering import Notebook, OrderFailed, order
from tunnelcloud.settings.web import AcmeSettings

DIRECTORY = "https://ca.example.com/dir"


class FailureTests(SynchronousTestCase):
    def refuse(self, raised=None, said=None):
        """Have the authority do something else than it should; give the failure."""

        def get(network, url, **options):
            if raised is not None:
                raise raised
            answer = requests.Response()
            answer._content = json.dumps(said).encode()
            return answer

        self.patch(ClientNetwork, "get", get)
        notebook = Notebook(lambda answers: None, lambda account: None)
        settings = AcmeSettings(directory=DIRECTORY)
        return self.assertRaises(OrderFailed, order, settings, ["a.example"], None, notebook)

    def test_lines(self):
        for raised, words in (
            (requests.ConnectionError(OSError(111, "Connection refused")), "Connection refused"),
            (requests.Timeout("read timed out"), "can't be reached: read timed out"),
            (requests.exceptions.SSLError("self-signed"), "isn't trusted (self-signed): set web"),
            (errors.TimeoutError(), "hasn't validated a.example within 180 s"),
            (errors.ClientError("odd"), "answers otherwise than RFC 8555 says"),
            (messages.Error.with_code("unauthorized", detail="no\nway"), "refused: no way"),
        ):
            failed = self.refuse(raised)
            self.assertIn(words, str(failed))
            self.assertNotIn("\n", str(failed))
            self.assertEqual(failed.wait, 0)

    def test_a_rate_limit_wants_patience(self):
        failed = self.refuse(messages.Error.with_code("rateLimited", detail="too many"))
        self.assertEqual((str(failed), failed.wait), ("the authority refused: too many", 3600))

    def test_something_else_than_a_directory(self):
        for said in ([], {}, {"newAccount": "x"}, "x", None):
            self.assertIn("isn't an ACME authority's directory", str(self.refuse(said=said)))

    def test_an_authority_for_its_customers_alone(self):
        said = {"newAccount": "x", "meta": {"externalAccountRequired": True}}
        self.assertIn("external account binding", str(self.refuse(said=said)))

    def test_what_an_authority_says_is_harmless(self):
        failed = self.refuse(messages.Error(detail="\x1b[2J" + "x" * 5000))
        self.assertTrue(str(failed).isprintable())
        self.assertLess(len(str(failed)), 400)

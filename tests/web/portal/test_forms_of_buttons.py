"""Forms in which nobody types: what they say when what they name is gone, or isn't theirs."""

import re

from tests.browser.test_failing_forms import BUTTONS
from tests.web.portal.browser import PortalTestCase
from tests.web.portal.structure import faults_of
from tests.web.portal.test_refused_words import said
from tests.web.words import BAD, words_of_the_code
from tunnelcloud.domain.objects.users import Role

NAMES = ("name", "code", "user_code", "answer", "door", "source", "approval", "valid_from")
"""What the hidden fields and the buttons of these forms are called."""


class FormOfButtonsTests(PortalTestCase):
    """The failing forms' test in a browser leaves these out, as it has nothing to type there."""

    def test_each(self):
        self.browser = self.signed_in(Role.ADMIN)
        page = self.browser.get("/account").body.decode()
        proof = page.split('name="csrf" value="')[1].split('"')[0]
        refused = 0
        for path in BUTTONS:
            for missing in ("x" * 26, "0" * 30):
                address = re.sub(r"\{\w+\}", missing, path)
                for bad in BAD[:7]:
                    form = {"csrf": proof, **dict.fromkeys(NAMES, bad)}
                    answer = self.browser.ask("POST", address, form)
                    refused += self.hold(answer, path, bad)
        self.assertGreater(refused, 50)
        # Whoever sends no proof of a form of ours gets nowhere with any of them.
        for path in BUTTONS:
            answer = self.browser.ask("POST", re.sub(r"\{\w+\}", "0" * 30, path), {"name": "x"})
            self.assertEqual(answer.status, 403, path)

    def hold(self, answer, path, bad):
        """Hold an answer to plain words; give 1 if it refuses."""
        self.assertLess(answer.status, 500, path)
        if answer.status < 400:
            return 0
        page = answer.body.decode()
        self.assertEqual(page.count("<h1>"), 1, path)
        self.assertEqual(faults_of(page), [], path)
        texts = said(answer.body) + re.findall(r"<main.*?<p>([^<]+)</p>", page, re.DOTALL)
        self.assertNotEqual("".join(texts).strip(), "", path)
        for text in texts:
            self.assertEqual(words_of_the_code(text, bad), [], f"{path}: {text[:300]}")
        return 1

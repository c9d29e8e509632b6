"""Texts that pages get from elsewhere end in one stop, and begin with a capital."""

import re
from importlib.resources import files

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.web.portal.rendering import sentence

_STOPPED = re.compile(r">\s*\{\{ ([^}]*) \}\}\.")
"""A text that is a sentence by itself, and a stop of the template's."""


class SentenceTests(SynchronousTestCase):
    def test_one_stop(self):
        for text in ("there is no such page", "There is no such page.", "there is no such page. "):
            self.assertEqual(sentence(text), "There is no such page.")
        self.assertEqual(sentence("what now?"), "What now?")

    def test_templates_put_no_stop_behind_a_text_that_may_have_one(self):
        for entry in files("tunnelcloud.web").joinpath("templates").iterdir():
            found = _STOPPED.findall(entry.read_text("utf-8"))
            self.assertEqual(found, [], f"{entry.name}: write |sentence instead of the stop")

"""Texts that pages get from elsewhere end in one stop, and begin with a capital."""

import re
from importlib.resources import files

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.web.portal.rendering import sentence

_STOPPED = re.compile(r"\{\{ ([^}]*) \}\}\.")
NO_SENTENCES = re.compile(
    r"moment\(|^(own_ip|provider|sentence|check\.steps\[-1\]\.warning)$|join\("
)
"""What stands at the end of a sentence of the template's own, and has no stop itself."""


class SentenceTests(SynchronousTestCase):
    def test_one_stop(self):
        for text in ("there is no such page", "There is no such page.", "there is no such page. "):
            self.assertEqual(sentence(text), "There is no such page.")
        self.assertEqual(sentence("what now?"), "What now?")

    def test_templates_put_no_stop_behind_a_text_that_may_have_one(self):
        for entry in files("tunnelcloud.web").joinpath("templates").iterdir():
            for found in _STOPPED.findall(entry.read_text("utf-8")):
                told = f"{entry.name}: write {{{{ {found}|sentence }}}} without a stop"
                self.assertRegex(found, NO_SENTENCES, told)

"""The words that people read in the portals."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud.web

TEMPLATES = Path(tunnelcloud.web.__file__).parent / "templates"
PAGES = {"Applications", "applications"}
"""The one page that is called so; what it lists are tunnels."""


class WordsTests(SynchronousTestCase):
    def test_a_tunnel_is_called_a_tunnel(self):
        for path in TEMPLATES.rglob("*.html"):
            shown = re.sub(r"<[^>]*>|\{%.*?%\}|\{#.*?#\}", " ", path.read_text(), flags=re.DOTALL)
            found = set(re.findall(r"\b[Aa]pplications?\b(?!/)", shown))
            self.assertEqual(found - PAGES, set(), path.name)

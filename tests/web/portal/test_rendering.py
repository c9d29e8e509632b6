"""What every template can use."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jinja2 import UndefinedError
from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud
from tunnelcloud.net.escaping import escape_whole
from tunnelcloud.web.portal.rendering import Renderer, exact, relative, visible

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMMON = {"user": None, "path": "/", "note": ""}
VENDORED = {
    "htmx.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "idiomorph-ext.min.js": "5811b9a7eda14878b7dab4378bf60432e1bb6f11fcfb970cc26540642650181e",
}
"""As npm has htmx.org 2.0.11 and idiomorph 0.8.0."""


class RenderingTests(SynchronousTestCase):
    def test_relative_times(self):
        for seconds, text in [
            (0, "0 s ago"),
            (-30, "in 30 s"),
            (90, "1 min ago"),
            (-7200, "in 2 h"),
            (1 - 3 * 86_400, "in 3 d"),
            (10 * 86_400, "10 d ago"),
        ]:
            self.assertEqual(relative(NOW - timedelta(seconds=seconds), NOW), text)

    def test_a_value_that_is_not_there_is_a_fault(self):
        renderer = Renderer()
        self.assertRaises(UndefinedError, renderer.render, "failed.html", {}, NOW)

    def test_values_are_escaped(self):
        values = {**COMMON, "title": "<b>", "text": "\"'&<"}
        page = Renderer().render("failed.html", values, NOW)
        self.assertIn(b"<h1>&lt;b&gt;</h1>", page)
        self.assertIn(b"&#34;&#39;&amp;&lt;", page)

    def test_no_expression_has_an_entity(self):
        """It would be escaped a second time: ``&amp;amp;`` in a link is another parameter."""
        for template in (Path(tunnelcloud.__file__).parent / "web" / "templates").iterdir():
            for expression in re.findall(r"{{.*?}}", template.read_text(), re.DOTALL):
                self.assertNotRegex(expression, r"&\w+;", template.name)

    def test_what_shows_nothing_or_turns_text_around_is_made_visible(self):
        for raw, text in [
            ("a\u202eb", "a\\u202eb"),
            ("a\x1b[31mb\x00", "a\\x1b[31mb\\x00"),
            ("a\x7f\x9b\u200b\ufeff\u2028", "a\\x7f\\x9b\\u200b\\ufeff\\u2028"),
            ("two\nlines\tof שלום", "two\nlines\tof שלום"),
            ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        ]:
            self.assertEqual(visible(raw), text)
            self.assertEqual(exact(raw), raw)
            if not set(raw) & set("\n\t\u200d"):
                self.assertEqual(escape_whole(raw), text, "what logs and the command line have")
        values = {**COMMON, "title": "a\u202eb", "text": ""}
        page = Renderer().render("failed.html", values, NOW).decode()
        self.assertIn("<h1>a\\u202eb</h1>", page)

    def test_none_asks_which_kind_an_object_is_of(self):
        """What a list or a form of one kind alone has, that kind's section tells."""
        folder = Path(tunnelcloud.__file__).parent / "web" / "templates"
        asking = [
            path.name
            for path in sorted(folder.iterdir())
            if re.search(r"\bnoun (==|!=|in|not) ", path.read_text())
        ]
        self.assertEqual(asking, [])

    def test_libraries_are_as_published(self):
        static = Renderer().static
        for name, digest in VENDORED.items():
            self.assertEqual(hashlib.sha256(static[name].content).hexdigest(), digest)

"""What every template can use."""

from datetime import UTC, datetime, timedelta

from jinja2 import UndefinedError
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.web.portal.rendering import Renderer, relative, size

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class RenderingTests(SynchronousTestCase):
    def test_sizes(self):
        for count, text in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5 * 2**30, "5.0 GiB"),
            (3 * 2**50, "3072.0 TiB"),
        ]:
            self.assertEqual(size(count), text)

    def test_relative_times(self):
        for seconds, text in [
            (0, "0 s ago"),
            (-30, "in 30 s"),
            (90, "1 min ago"),
            (-7200, "in 2 h"),
            (10 * 86_400, "10 d ago"),
        ]:
            self.assertEqual(relative(NOW - timedelta(seconds=seconds), NOW), text)

    def test_a_value_that_is_not_there_is_a_fault(self):
        renderer = Renderer()
        self.assertRaises(UndefinedError, renderer.render, "failed.html", {}, NOW)

    def test_values_are_escaped(self):
        values = {"user": None, "title": "<b>", "text": "\"'&<"}
        page = Renderer().render("failed.html", values, NOW)
        self.assertIn(b"<h1>&lt;b&gt;</h1>", page)
        self.assertIn(b"&#34;&#39;&amp;&lt;", page)

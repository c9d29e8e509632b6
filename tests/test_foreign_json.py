"""JSON of others is read in one way: brackets nested without end are as wrong as no JSON at all."""

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud
from tunnelcloud.net.foreign_json import TOO_DEEP, read_foreign_json

ROOT = Path(tunnelcloud.__file__).parent

OWN = {
    "net/foreign_json.py": "this is the way",
    "web/strict_json.py": "of requests; it refuses more, and what is nested without end as well",
    "pod/acme/keeper.py": "what the pod sealed itself",
    "pod/acme/ordering.py": "what the pod sealed itself",
    "sinks/mail.py": "lines that the pod wrote to its own spool",
    "store/column_types.py": "what the pod wrote to its database",
    "web/portal/api_calls.py": "an answer that the pod has just made",
    "web/portal/pages/audit_csv.py": "lines that the pod has just made",
    "web/portal/sealed_cookies.py": "what the pod sealed itself",
}
"""Where JSON is read by other means, and whose it is."""


def reads_json(tree):
    """Tell whether a module reads JSON by the standard library, or by a response's own method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = getattr(node.func.value, "id", "")
            if (of == "json" and node.func.attr in ("load", "loads")) or (
                node.func.attr == "json" and not node.args
            ):
                return True
        if isinstance(node, ast.ImportFrom) and node.module == "json":
            return True
    return False


class ForeignJSONTests(SynchronousTestCase):
    def test_every_other_place_is_known(self):
        found = {
            path.relative_to(ROOT).as_posix()
            for path in ROOT.rglob("*.py")
            if reads_json(ast.parse(path.read_text("utf-8")))
        }
        self.assertEqual(found, set(OWN))

    def test_what_would_be_found(self):
        for text in ("json.loads(x)", "answer.json()", "from json import loads"):
            self.assertTrue(reads_json(ast.parse(text)), text)

    def test_what_is_read_and_what_is_refused(self):
        self.assertEqual(read_foreign_json(b'{"a": [1]}'), {"a": [1]})
        for data in (b"", b"[", b"\xff", "[1] 2"):
            with self.assertRaises(ValueError):
                read_foreign_json(data)

    def test_what_is_nested_without_end_is_refused_alike(self):
        with self.assertRaises(ValueError) as caught:
            read_foreign_json(b"[" * 1_000_000)
        self.assertEqual(str(caught.exception), TOO_DEEP)

    def test_halves_of_characters_are_refused(self):
        """Whoever keeps or logs such a text would fail."""
        for data in (
            b'"\\ud800"',
            b'{"a": ["\\ud83d"]}',
            b'{"\\uDE00": 1}',
            b'"\\ude00\\ud83d"',
            b'"\xed\xa0\x80"',
            '"\\ud83d"',
        ):
            with self.assertRaises(ValueError, msg=data):
                read_foreign_json(data)
        self.assertEqual(read_foreign_json(b'"\\ud83d\\ude00"'), "\U0001f600")
        self.assertEqual(read_foreign_json(b'"\\\\ud800"'), "\\ud800")
        self.assertEqual(read_foreign_json('"\U0001f600"'.encode("utf-16")), "\U0001f600")

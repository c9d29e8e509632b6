from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.web.strict_json import MAX_DEPTH, BadJSON, check_json


class StrictJSONTests(SynchronousTestCase):
    def test_what_passes(self):
        for raw in [b"{}", b'{"a": [1, "]]]]", {"b": "\\"[["}]}', '"Zo\u00eb"'.encode(), b"1e5"]:
            check_json(raw)

    def test_what_does_not(self):
        for raw, words in [
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b'{"a": 1, "b": 2, "a": 3}', "'a' is there twice"),
            (b'{"a": {"x": 1, "x": 1}}', "'x' is there twice"),
            (b'"\xff"', "not UTF-8 (byte 1)"),
            (b"NaN", "NaN is not JSON"),
            (b"[-Infinity]", "Infinity is not JSON"),
            (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper than 32"),
            (b"[" * 500_000, "nested deeper"),
            (b"9" * 10_000, "a number is too long"),
        ]:
            error = self.assertRaises(BadJSON, check_json, raw)
            self.assertIn(words, str(error), raw[:40])

    def test_the_deepest_allowed(self):
        check_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)

    @given(st.binary(max_size=200))
    def test_any_bytes_pass_or_are_refused(self, raw):
        try:
            check_json(raw)
        except BadJSON as error:
            self.assertTrue(str(error))

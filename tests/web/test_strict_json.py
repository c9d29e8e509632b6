import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.web.strict_json import MAX_DEPTH, MAX_MEMBERS, BadJSON, read_json


class StrictJSONTests(SynchronousTestCase):
    def test_what_passes(self):
        for raw in [b"{}", b'{"a": [1, "]]]]", {"b": "\\"[["}]}', '"Zo\u00eb"'.encode(), b"1e5"]:
            read_json(raw)

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
            error = self.assertRaises(BadJSON, read_json, raw)
            self.assertIn(words, str(error), raw[:40])

    def test_the_deepest_allowed(self):
        read_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)

    def test_an_object_with_too_many_members(self):
        wide = json.dumps({f"k{number}": {} for number in range(MAX_MEMBERS + 1)}).encode()
        for raw, maps_at in [(wide, None), (b'{"a": %s}' % wide, 0), (b"[%s]" % wide, None)]:
            error = self.assertRaises(BadJSON, read_json, raw, maps_at)
            self.assertIn("more than 200 members", str(error))
        self.assertEqual(len(read_json(wide, maps_at=0)), MAX_MEMBERS + 1)
        self.assertEqual(len(read_json(b'{"a": %s}' % wide, maps_at=1)["a"]), MAX_MEMBERS + 1)

    @given(st.binary(max_size=200))
    def test_any_bytes_pass_or_are_refused(self, raw):
        try:
            read_json(raw)
        except BadJSON as error:
            self.assertTrue(str(error))

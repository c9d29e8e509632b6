"""Numbers of things in words; and no word with a plural in brackets."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud
from tunnelcloud.domain.quantities import bytes_text, counted

_BOTH_AT_ONCE = re.compile(r"[a-z}]\(e?s\)(?!\()")


class CountingTests(SynchronousTestCase):
    def test_one_and_several(self):
        self.assertEqual(counted(1, "policy"), "1 policy")
        self.assertEqual(counted(0, "policy"), "0 policies")
        self.assertEqual(counted(1, "person"), "1 person")
        self.assertEqual(counted(1200, "tunnel"), "1,200 tunnels")

    def test_bytes(self):
        for count, text in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5 * 2**30, "5.0 GiB"),
            (3 * 2**50, "3072.0 TiB"),
        ]:
            self.assertEqual(bytes_text(count), text)

    def test_no_word_has_its_plural_in_brackets(self):
        root = Path(tunnelcloud.__file__).parent
        found = {
            str(path.relative_to(root)): line
            for path in sorted(root.rglob("*"))
            if path.suffix in (".py", ".html")
            for line in path.read_text().splitlines()
            if _BOTH_AT_ONCE.search(line) and '"' in line
        }
        self.assertEqual(found, {}, "use tunnelcloud.domain.quantities.counted")

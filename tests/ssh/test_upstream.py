"""The patches in docs/upstream belong to the Twisted that is installed."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted

PATCHES = Path(__file__).parents[2] / "docs" / "upstream"
TWISTED = Path(twisted.__file__).parent


class PatchTests(SynchronousTestCase):
    def test_what_they_change_is_still_so(self):
        """Once it isn't, the patch is upstream or has to be made anew: see docs/upstream.md."""
        patches = sorted(PATCHES.glob("*.patch"))
        self.assertEqual(len(patches), 2)
        for patch in patches:
            before = None
            for hunk in re.split(r"^@@.*@@.*\n", patch.read_text(), flags=re.MULTILINE):
                if before is None:
                    (name,) = re.findall(r"^--- a/src/twisted/(\S+)$", hunk, re.MULTILINE)
                    before = (TWISTED / name).read_text()
                    continue
                lines = [line[1:] for line in hunk.splitlines() if not line.startswith("+")]
                self.assertIn("\n".join(lines), before, patch.name)

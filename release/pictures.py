"""Makes the pictures that pages of docs/ show anew, from the pages of today.

    python -m release.pictures

The browser tests of a first day and of a newcomer make them.  What no page of docs/ shows isn't
kept.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_IMAGES = _ROOT / "docs" / "images"
_TESTS = ("tests.browser.test_first_day", "tests.browser.test_newcomer")


def main() -> int:
    """Run the tests, and take what they made in place of what is there."""
    with tempfile.TemporaryDirectory() as made:
        environment = {
            **os.environ,
            "TUNNELCLOUD_TESTS_SCREENSHOTS": made,
            "TUNNELCLOUD_TESTS_PICTURES": made,
        }
        trial = [sys.executable, "-m", "twisted.trial", "--temp-directory", f"{made}/trial"]
        done = subprocess.run([*trial, *_TESTS], cwd=_ROOT, env=environment, check=False)
        if done.returncode:
            return done.returncode
        for old in sorted(_IMAGES.iterdir()):
            new = Path(made) / old.name
            if not new.is_file():
                print(f"{old.name}: no test makes it", file=sys.stderr)
                return 1
            shutil.copyfile(new, old)
    return 0


if __name__ == "__main__":
    sys.exit(main())

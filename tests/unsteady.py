"""Which failed tests of a run may run once more, alone.

Tests share a machine with each other and with whatever else runs on it: real clients and browsers
have limits of time that no test can set, a port or a core may be taken. CI runs a test again when
it failed beside others, and prints its name at the end.

    python tests/unsteady.py LOG

prints the names for one run of trial, or nothing when its result has to stand.
"""

import re
import sys

#: More failures than these are a fault, and no chance.
MOST = 3

_FAILURE = re.compile(r"^\[(?:FAIL|ERROR)\]\n(.*?)^(?:={79}|-{79})$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"^(tests(?:\.\w+)+)$", re.MULTILINE)
_COUNT = re.compile(r"^FAILED \((.*)\)$", re.MULTILINE)


def may_run_again(log: str) -> list[str]:
    """Give the failed tests that may run once more.

    :param log: what trial printed, with one run in it.
    :return: their names, sorted; none if any failure has to stand, or isn't told by a name.
    """
    failures = [_NAME.findall(told) for told in _FAILURE.findall(log)]
    names = {name for told in failures for name in told}
    results = _COUNT.findall(log)
    if len(results) != 1 or not 0 < len(names) <= MOST:
        return []
    counts = {what: int(n) for what, n in (part.split("=") for part in results[0].split(", "))}
    if counts.keys() - {"failures", "errors", "successes"}:
        return []
    # One test may fail and then have its clean-up fail; each of the two names it.
    if counts.get("failures", 0) + counts.get("errors", 0) != sum(map(len, failures)):
        return []
    return sorted(names)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8", errors="replace") as read:
        sys.stdout.write("\n".join(may_run_again(read.read())))

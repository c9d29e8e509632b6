"""Whether a machine's clock is kept right, as far as systemd can tell."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tunnelcloud.net.doctor_findings import Finding, good, warning

_SYSTEMD = Path("/run/systemd/system")
_SECONDS = 5


def ask_systemd() -> str:
    """Tell whether the clock follows a time server: ``yes`` or ``no``; empty without systemd."""
    program = shutil.which("timedatectl")
    if program is None or not _SYSTEMD.is_dir():
        return ""
    words = [program, "show", "--property=NTPSynchronized", "--value"]
    try:
        done = subprocess.run(  # noqa: S603
            words, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def clock_findings() -> Iterator[Finding]:
    """Check this machine's clock; without systemd there are no findings."""
    answer = ask_systemd()
    if answer == "no":
        yield warning(
            "clock",
            "this machine's clock follows no time server: install chrony or systemd-timesyncd",
        )
    elif answer == "yes":
        yield good("clock", "this machine's clock follows a time server")

"""Runs programs for a release; the first one that fails ends it."""

from __future__ import annotations

import subprocess
from pathlib import Path


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a program, and show what it says only if it fails.

    :raise SystemExit: it failed.
    """
    done = subprocess.run(
        command, cwd=cwd, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode != 0:
        words = " ".join(map(str, command))
        raise SystemExit(f"{done.stdout}\n{words}: exit status {done.returncode}")

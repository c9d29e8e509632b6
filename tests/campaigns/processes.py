"""Campaigns as processes of their own, for their short forms."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_campaign(name, *words, patience=240):
    """Run a campaign to its end; give what it printed, and fail with all of it if it failed."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.campaigns.{name}", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{name} {words} failed:\n{done.stdout}{done.stderr}")
    return done.stdout

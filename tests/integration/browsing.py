"""What a real browser shows of a pod."""

import subprocess

from tests.integration.processes import PATIENCE
from tests.requirements import require_executable

SIGN_IN = "<title>Sign in"


def sign_in_page(address, profile):
    """Have Chromium open the portal; give the page that it made of it, and its messages.

    :param profile: a directory that it keeps to itself.
    """
    done = subprocess.run(
        [
            require_executable("chromium-headless-shell"), "--no-sandbox", "--disable-gpu",
            "--disable-background-networking", "--ignore-certificate-errors",
            f"--user-data-dir={profile}", "--dump-dom", f"{address}/sign-in",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    return done.stdout.decode("utf-8", "replace")

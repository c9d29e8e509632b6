"""Spends the tokens named on its command line, and says which as soon as each is acknowledged.

Run by test_durability in a process of its own, which is killed meanwhile.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.store.material import login
from tunnelcloud.store import tokens
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.tokens import Outcome


def main(directory: str, *secrets: str) -> None:
    store = open_store("sqlite", Path(directory))
    futures = [(one, store.write_soon(tokens.spend, one.encode(), login())) for one in secrets]
    for secret, future in futures:
        if future.result().outcome is Outcome.SPENT:
            sys.stdout.write(secret + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Migrates a SQLite database in a child process, so that what it takes goes with the child.

Alembic and what it loads are 10 MiB that a pod would keep for as long as it runs.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tunnelcloud.store.engine import open_store
from tunnelcloud.store.migrate import REVISION, known_revisions
from tunnelcloud.store.sqlite_files import FILE_NAME

_PR_SET_PDEATHSIG = 1
"""For prctl(2)."""


def migrate_in_child(
    url: str, state_directory: Path, upgrading: Callable[[], object] = bool
) -> None:
    """Have a child process run the missing migrations of a SQLite database, and wait for it.

    Whatever keeps the child from it is told by whoever opens the database next.

    :param upgrading: is called before, if there is a database, since it may take minutes.
    """
    # A child of a process with threads may wait for a lock that no thread will ever release.
    if url != "sqlite" or threading.active_count() > 1:
        return
    if _is_current(state_directory / FILE_NAME):
        return
    if (state_directory / FILE_NAME).exists():
        upgrading()
    parent = os.getpid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    status = 1
    try:
        _end_with(parent)
        open_store(url, state_directory).close()
        status = 0
    finally:
        # Nothing of the parent may run here: no handler at exit, no buffer is written twice.
        os._exit(status)


def _end_with(parent: int) -> None:
    """Have the system kill this process when its parent ends, so that the pod can start again.

    Otherwise this process would hold the database, and the ports that it has from its parent, until
    the migration is done.  A migration that is cut off leaves the database as it was.

    :param parent: the process id of the parent.
    """
    if sys.platform != "linux":
        return
    import ctypes  # a megabyte, in the child alone

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def _is_current(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute(str(REVISION)).fetchone()
    except sqlite3.Error:
        return False
    return found is not None and found[0] == known_revisions()[-1]

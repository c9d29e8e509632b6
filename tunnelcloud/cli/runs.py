"""What runs of ``connect`` keep for ``status`` and ``stop``: a file each, locked while it runs.

The lock ends with the process, whatever ended it, so that nobody takes a killed run for a live one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from attrs import frozen

from tunnelcloud.cli.client import Failed, Object

_END_SECONDS = 30
_LOOK_SECONDS = 0.1


def runs_path() -> Path:
    """Say where the files are: gone at the next start of the machine, where it has such a place."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "tunnelcloud"
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "tunnelcloud" / "runs"


class OwnRun:
    """The file of this process.

    :raise Failed: it can't be written.
    """

    def __init__(self) -> None:
        directory = runs_path()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path = directory / f"{os.getpid()}.json"
            self._file = _locked_file(self._path)
        except OSError as error:
            raise Failed(f"can't write to {directory}: {error.strerror or error}") from None
        self._written = ""

    def write(self, told: Object) -> None:
        """Keep what ``status`` is to say."""
        text = json.dumps({"process": os.getpid(), **told})
        if text == self._written:
            return
        self._written = text
        # A full disk keeps no tunnel from working.
        with contextlib.suppress(OSError):
            self._file.seek(0)
            self._file.truncate()
            self._file.write(text)
            self._file.flush()

    def clear(self) -> None:
        """Remove it."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def _locked_file(path: Path) -> IO[str]:
    """Make a file and lock it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        file = os.fdopen(descriptor, "r+", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        # Somebody may have removed it before it was locked, as what a killed run left.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return file
        file.close()


@frozen
class Run:
    """A run that goes on.

    :ivar told: what it says of itself; empty while it begins.
    """

    path: Path
    process: int
    told: Object

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return not _is_locked(self.path)

    def stop(self, wait: Callable[[float], None] = time.sleep) -> None:
        """End it, and wait until it has cleaned up.

        :raise Failed: it doesn't end.
        """
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGTERM)
        for _ in range(int(_END_SECONDS / _LOOK_SECONDS)):
            if self.is_over:
                return
            wait(_LOOK_SECONDS)
        raise Failed(f"process {self.process} does not end: `kill -9 {self.process}` ends it")


def live_runs() -> Iterator[Run]:
    """Give the runs that go on, and remove what others left."""
    directory = runs_path()
    for path in sorted(directory.glob("*.json")) if directory.is_dir() else ():
        if not path.stem.isdigit():
            continue
        if not _is_locked(path):
            path.unlink(missing_ok=True)
            continue
        try:
            told = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            told = {}
        yield Run(path, int(path.stem), told if isinstance(told, dict) else {})


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False

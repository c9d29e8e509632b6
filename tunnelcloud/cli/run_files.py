"""The files that runs of ``connect`` keep for ``status`` and ``stop``, locked while they run.

The lock ends with the process, whatever ended it, so that nobody takes a killed run for a live one.
The files are in a directory that is the user's own: what another user put there is neither
followed, believed nor removed.  So root's runs are apart from those of the user who called sudo.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from attrs import frozen

from tunnelcloud.cli.client import Failed, Object
from tunnelcloud.cli.own_directories import own_directory
from tunnelcloud.cli.process_starts import start_of

_OF_ROOT = Path("/var/run/tunnelcloud-connect")
_END_SECONDS = 30
_LOOK_SECONDS = 0.1
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_START = "process_start"


def runs_path() -> Path:
    """Say where the files are: gone at the next start of the machine, where it has such a place.

    :raise Failed: the user has no home directory.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _may_be_used(Path(runtime)):
        return Path(runtime) / "tunnelcloud"
    if os.geteuid() == 0:
        # After sudo the home may be the other user's, too.
        return _OF_ROOT
    return own_directory("XDG_STATE_HOME", ".local", "state") / "tunnelcloud" / "runs"


def _may_be_used(runtime: Path) -> bool:
    """Tell whether a directory is this user's; with sudo the environment may name another's."""
    try:
        return runtime.stat().st_uid == os.geteuid()
    except OSError:
        return os.geteuid() != 0


def _check_own(directory: Path) -> None:
    """Check that nobody else can put files into the directory.

    :raise Failed: somebody can.
    :raise OSError: it isn't there, or is no directory.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | _SAFELY)
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if found.st_uid != os.geteuid() or found.st_mode & _WRITABLE_BY_OTHERS:
        raise Failed(
            f"{directory} belongs to another user, or others may write to it: remove it, or set "
            "XDG_RUNTIME_DIR to a directory of your own"
        )


def _open_own(path: Path, flags: int) -> int:
    """Open a file of this user's.

    :raise PermissionError: it is another user's, or no plain file.
    """
    descriptor = os.open(path, flags | _SAFELY, 0o600)
    found = os.fstat(descriptor)
    if found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode):
        return descriptor
    os.close(descriptor)
    raise PermissionError(f"{path} belongs to another user")


class OwnRun:
    """The file of this process.

    :raise Failed: it can't be written, or the user has no home directory.
    """

    def __init__(self) -> None:
        directory = runs_path()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_own(directory)
            self._path = directory / f"{os.getpid()}.json"
            self._file = _locked_file(self._path)
        except OSError as error:
            raise Failed(f"can't write to {directory}: {error.strerror or error}") from None
        self._written = ""
        self.write({})

    def write(self, told: Object) -> None:
        """Write what ``status`` shows."""
        process = os.getpid()
        text = json.dumps({_START: start_of(process), **told})
        if text == self._written:
            return
        self._written = text
        # A full disk keeps no tunnel from working.
        with contextlib.suppress(OSError):
            self._file.seek(0)
            self._file.write(text)
            self._file.flush()
            # Whoever reads meanwhile has the whole, and something behind it.
            self._file.truncate()

    def clear(self) -> None:
        """Remove it."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def _locked_file(path: Path) -> IO[str]:
    """Make a file and lock it."""
    while True:
        descriptor = _open_own(path, os.O_RDWR | os.O_CREAT)
        file = os.fdopen(descriptor, "r+", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        # Somebody may have removed it before it was locked, as what a killed run left.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return file
        file.close()


@frozen
class Run:
    """A run that goes on.

    :ivar told: what it has written about itself; empty while it begins.
    """

    path: Path
    process: int
    told: Object

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return _kept(self.path) is None

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
    """Give the runs that go on, and remove what others left.

    :raise Failed: the directory is another user's.
    """
    directory = runs_path()
    if not directory.is_dir():
        return
    _check_own(directory)
    for path in sorted(directory.glob("*.json")):
        if not path.stem.isdigit():
            continue
        try:
            kept = _kept(path)
        except OSError:
            continue  # another user's
        if kept is None:
            path.unlink(missing_ok=True)
            continue
        process = int(path.stem)
        # Only who wrote it is a run: the number may be another process's, whose file it isn't.
        if kept.pop(_START, None) == start_of(process):
            yield Run(path, process, kept)


def _kept(path: Path) -> Object | None:
    """Return what a run that goes on has written; None for a run that has ended.

    :raise OSError: it is another user's.
    """
    try:
        descriptor = _open_own(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(file)
    return None


def _read(file: IO[str]) -> Object:
    try:
        told, _ = json.JSONDecoder().raw_decode(file.read())
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}

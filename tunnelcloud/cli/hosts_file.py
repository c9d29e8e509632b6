"""Names for local addresses in the machine's hosts file, in a block that is removed at the end.

The block names the process that wrote it, so that the next run takes out what a killed one left.
What others write into the file meanwhile stays.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.process_starts import start_of
from tunnelcloud.private_files import write_atomically

HOSTS = Path("/etc/hosts")
_NAME = re.compile(r"[a-z0-9-]{1,63}")
_BEGIN = re.compile(rb"# BEGIN tunnelcloud connect ([0-9]{1,10}) ([0-9]{1,20})\b")
_LOCK_SECONDS = 5
_POLL_SECONDS = 0.1
_END = b"# END tunnelcloud connect "


class HostsFile:
    """The part of a hosts file that this process writes."""

    def __init__(self, path: Path = HOSTS) -> None:
        # A link stays one, and what it leads to is replaced.
        self._path = Path(os.path.realpath(path))
        self._names: dict[str, str] | None = None
        self._is_held = False

    def write(self, addresses: Mapping[str, str]) -> None:
        """Write these names with their addresses, in place of what this process wrote before.

        :param addresses: by the tunnels' names.
        :raise Failed: the file can't be changed, with what would help.
        """
        names = {f"{name}.tunnel": at for name, at in addresses.items() if _NAME.fullmatch(name)}
        if names == self._names:
            return
        process = os.getpid()
        lines = [
            f"# BEGIN tunnelcloud connect {process} {start_of(process)}: taken out at its end",
            *(f"{address} {name}" for name, address in names.items()),
            f"{_END.decode()}{process}",
        ]
        self._change("".join(f"{line}\n" for line in lines).encode("ascii"))
        self._names = names

    def clear(self) -> None:
        """Remove this process's block.

        :raise Failed: the file can't be changed.
        """
        if self._names is not None:
            self._change(b"")
            self._names = None

    def _change(self, block: bytes) -> None:
        try:
            # The tunnels wait meanwhile: only once, until the lock was to be had again.
            with _locked(self._path, 0 if block and self._is_held else _LOCK_SECONDS) as before:
                self._is_held = False
                after = _without_ended(before)
                if block and after and not after.endswith(b"\n"):
                    after += b"\n"
                if after + block != before:
                    _replace(self._path, after + block)
        except BlockingIOError:
            self._is_held = True
            raise Failed(
                f"another process holds {self._path} locked: `fuser {self._path}` names it"
            ) from None
        except PermissionError:
            raise Failed(
                f"you may not change {self._path}: run this as an administrator, or without --hosts"
            ) from None
        except OSError as error:
            raise Failed(f"can't change {self._path}: {error.strerror or error}") from None


@contextmanager
def _locked(path: Path, seconds: float) -> Iterator[bytes]:
    """Keep other runs from changing the file, and give what it holds.

    Whoever may read the file can hold a lock on it, for ever.

    :param seconds: how long to wait for the lock.
    :raise BlockingIOError: somebody else holds it for longer.
    """
    until = time.monotonic() + seconds
    while True:
        with path.open("rb+") as file:
            if _is_locked_now(file, path):
                yield file.read()
                return
        if time.monotonic() >= until:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        time.sleep(_POLL_SECONDS)


def _is_locked_now(file: IO[bytes], path: Path) -> bool:
    """Lock a file; another run may hold it, or may have replaced it before it was locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.path.samestat(os.fstat(file.fileno()), path.stat())


def _without_ended(content: bytes) -> bytes:
    """Leave out the blocks of this process, and of processes that have ended."""
    kept: list[bytes] = []
    block: list[bytes] = []
    for line in content.splitlines(keepends=True):
        found = _BEGIN.match(line)
        if found:
            kept += block  # it never ended, so somebody has edited it: leave it alone
            block = [] if _writes_elsewhere(int(found[1]), int(found[2])) else [line]
            if block:
                continue
        if block and line.startswith(_END):
            block = []
        elif block:
            block.append(line)
        else:
            kept.append(line)
    return b"".join(kept + block)


def _writes_elsewhere(process: int, start: int) -> bool:
    """Tell whether a block belongs to another process that still runs."""
    return process != os.getpid() and _runs(process) and start_of(process) == start


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _replace(path: Path, content: bytes) -> None:
    """Replace the file in one step, with the mode and the owner that it has."""
    found = path.stat()
    try:
        write_atomically(
            path, content, stat.S_IMODE(found.st_mode), owner=(found.st_uid, found.st_gid)
        )
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # A container has it mounted, so that only what it holds can be changed.
        path.write_bytes(content)

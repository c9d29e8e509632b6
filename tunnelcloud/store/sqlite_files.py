"""The files of a SQLite database: whose they are, and which process may use them."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tunnelcloud.private_files import ExposedPrivateFile, UnreadablePrivateFile, check_private
from tunnelcloud.store.errors import StateUnusable

FILE_NAME = "tunnelcloud.sqlite3"
_LOGS = ("-wal", "-journal")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


def take(path: Path) -> int:
    """Keep other processes from a database in a state directory.

    :return: a descriptor; the database is free again once it is closed.
    :raise StateUnusable: with what to do.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _open_private(path.with_suffix(".lock"))
    except OSError as error:
        raise _not_writable(error) from error
    try:
        for one in (path, *beside(path)):
            check_private(one)
    except (ExposedPrivateFile, UnreadablePrivateFile) as error:
        os.close(lock)
        raise StateUnusable(str(error)) from None
    if not _lock(lock):
        os.close(lock)
        raise StateUnusable(
            f"{path.parent} is in use by another pod: stop that one, or use PostgreSQL for several"
        )
    return lock


@contextmanager
def hold_sqlite(state_directory: Path) -> Iterator[None]:
    """Keep pods from the database in a state directory, which may have none yet.

    :raise StateUnusable: one uses it.
    """
    lock = take(state_directory / FILE_NAME)
    try:
        yield
    finally:
        os.close(lock)


def make_private(path: Path) -> None:
    """Make a file that only the owner of its directory can read, unless it is there.

    :raise StateUnusable: with what to do.
    """
    try:
        os.close(_open_private(path))
    except OSError as error:
        raise _not_writable(error) from error


@contextmanager
def new_file(path: Path, *, given: bool) -> Iterator[Path]:
    """Give the place to write a database in that gets its name once it is whole.

    What an earlier attempt left there, when it was killed, goes first.

    :param given: whether what root makes there belongs to the owner of the directory.
    :raise StateUnusable: another process writes it.
    :raise OSError: nothing can be written there.
    """
    part = part_of(path)
    lock = _open_private(part, os.O_NOFOLLOW, given=given)
    try:
        if not _lock(lock) or not _is_at(lock, part):
            raise StateUnusable(f"{part}: another command writes it: wait until it has ended")
        if not _is_ours(lock, part, given=given):
            raise StateUnusable(f"{part} is there, and not a file of yours: remove it first")
        try:
            for one in beside(part):
                one.unlink(missing_ok=True)
            os.ftruncate(lock, 0)
            os.fchmod(lock, 0o600)
            yield part
            os.fsync(lock)
            part.rename(path)
            _sync_directory(path.parent)
        finally:
            for one in (part, *beside(part)):
                one.unlink(missing_ok=True)
    finally:
        os.close(lock)


def part_of(path: Path) -> Path:
    """Name the file that gets a database's name once it is whole."""
    return path.with_name(f"{path.name}.part")


def beside(path: Path) -> tuple[Path, ...]:
    """Name the files that SQLite may make beside a database."""
    return (*logs_of(path), path.with_name(f"{path.name}-shm"))


def logs_of(path: Path) -> tuple[Path, ...]:
    """Name those of them that have pages of the database, unless they are empty."""
    return tuple(path.with_name(path.name + end) for end in _LOGS)


def _open_private(path: Path, flags: int = 0, *, given: bool = True) -> int:
    """Open a file, or make it for the owner of its directory, who couldn't open root's."""
    owner = path.parent.stat()
    if not given or not _is_for_another(owner):
        return os.open(path, _FLAGS | flags, 0o600)
    # That owner may have put a link there, for root to give them what it leads to.
    descriptor = os.open(path, _FLAGS | os.O_NOFOLLOW, 0o600)
    if _is_plain(os.fstat(descriptor)):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def _is_for_another(directory: os.stat_result) -> bool:
    return os.geteuid() == 0 != directory.st_uid


def _is_plain(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _is_ours(descriptor: int, path: Path, *, given: bool) -> bool:
    """Tell whether nobody else may hold an open file, which is about to get secrets."""
    found, directory = os.fstat(descriptor), path.parent.stat()
    owner = directory.st_uid if given and _is_for_another(directory) else os.geteuid()
    return _is_plain(found) and found.st_uid == owner


def _lock(descriptor: int) -> bool:
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file still has its name: whoever had the lock may have renamed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_writable(error: OSError) -> StateUnusable:
    return StateUnusable(
        f"{error.filename}: {error.strerror}: make the state directory writable, or name another"
    )

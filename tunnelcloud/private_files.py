"""Files that hold secrets: written whole or not at all, read only when nobody else can.

Knows nothing of what the files hold.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_CONTAINER_SECRETS = Path("/run/secrets")
"""Where Docker, Podman and Kubernetes put secrets, with modes of their own."""


class UnreadablePrivateFile(Exception):
    """A file with a secret is there and can't be read."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} can't be read ({why}): make it belong to the user who runs this")


class ExposedPrivateFile(Exception):
    """A file with a secret is open to other users of the machine."""

    def __init__(self, path: Path, mode: int) -> None:
        super().__init__(
            f"{path} is open to other users (mode {mode:04o}): run `chmod 600 {path}`, "
            "and replace what it holds if others have used this machine"
        )


def write_atomically(
    path: Path, content: bytes, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """Replace ``path`` by ``content``, durably: a crash leaves the old file or the new one.

    :param owner: the user and the group that it is to belong to; None for whoever writes it.
    :raise OSError: the directory is missing, full or not writable.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if owner is not None:
                os.fchown(stream.fileno(), *owner)
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def read_private(path: Path, environment: Mapping[str, str] = os.environ) -> bytes:
    """Read a file with a secret.

    Of what systemd (``LoadCredential=``) or a container is given as a secret, the mode is theirs.

    :raise FileNotFoundError: it isn't there.
    :raise UnreadablePrivateFile: it is there and can't be read.
    :raise ExposedPrivateFile: its mode lets other users read or write it.
    """
    try:
        with path.open("rb") as stream:
            if not _is_given(path, environment):
                _check(path, os.fstat(stream.fileno()))
            return stream.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadablePrivateFile(path, error.strerror or str(error)) from error


def check_private(path: Path) -> None:
    """Refuse a file with secrets that others can read or write; one that isn't there is none.

    :raise UnreadablePrivateFile: what it is can't be told.
    :raise ExposedPrivateFile: its mode lets other users read or write it.
    """
    try:
        _check(path, path.stat())
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnreadablePrivateFile(path, error.strerror or str(error)) from error


def hold_file(path: Path) -> int | None:
    """Open a file, and keep other processes from doing the same while this one lives.

    It stays open: the system lets go of the lock when the process ends, however that comes.

    :return: None if another process holds it.
    :raise OSError: it can't be made, opened or locked.
    """
    return _hold(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def hold_directory(path: Path) -> int | None:
    """Do the same with a directory, which need not be writable.

    It doesn't keep out who holds a file in it.

    :return: None if another process holds it.
    :raise OSError: it can't be opened or locked.
    """
    return _hold(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _hold(descriptor: int) -> int | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_given(path: Path, environment: Mapping[str, str]) -> bool:
    directory = environment.get("CREDENTIALS_DIRECTORY")
    is_credential = bool(directory) and path.parent == Path(str(directory))
    return is_credential or path.is_relative_to(_CONTAINER_SECRETS)


def _check(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if mode & _OTHERS:
        raise ExposedPrivateFile(path, mode)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""pod.toml as ``tunnelcloud setup`` finds and leaves it."""

from __future__ import annotations

import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from tunnelcloud.cli.local_commands import check_pod
from tunnelcloud.private_files import write_atomically
from tunnelcloud.settings import PodSettings, read_pod_settings
from tunnelcloud.settings.editing import CannotEdit, Value, edited, shown_value
from tunnelcloud.settings_files import BadSettings, CannotStart

_MODE = 0o640
_NEW = "# A pod's settings, begun by `tunnelcloud setup`.\n\nstate_directory = {}\n"
_AS_ROOT = "run setup as root, or as the pod's user with --config and --state of your own"
_DEFAULT_STATE = Path("/var/lib/tunnelcloud")


@frozen
class SettingsFile:
    """The file, and what is said in it.

    :ivar text: its text, or the text that a new file begins with.
    :ivar is_new: whether there is none yet.
    """

    path: Path
    text: str = field(repr=False)
    settings: PodSettings
    is_new: bool

    @classmethod
    def read(cls, path: Path, state: Path | None) -> SettingsFile:
        """Read the file, or begin one.

        :param state: the state directory, where it is to be another one.
        :raise BadSettings: it can't be used as it is.
        """
        path = path.resolve()
        try:
            text, is_new = path.read_text("utf-8"), False
        except FileNotFoundError:
            directory = str((state or _DEFAULT_STATE).resolve())
            text, is_new = _NEW.format(shown_value(directory)), True
        except PermissionError:
            raise BadSettings(f"{path} can't be read by this user: {_AS_ROOT}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(f"{path}: can't be read: {error}") from None
        if state is not None and not is_new:
            text = _edited(path, text, {"state_directory": str(state.resolve())})
        return cls(path, text, _settings(path, text), is_new)

    def check_access(self) -> None:
        """Look whether this user may write the file and use the state directory, if it is there.

        :raise CannotStart: they may not.
        """
        directory = next(one for one in self.path.parents if one.exists())
        state = self.settings.state_directory
        for one in (directory, state):
            if one.exists() and not os.access(one, os.W_OK | os.X_OK):
                raise CannotStart(f"{one} can't be written by this user: {_AS_ROOT}")

    def changed(self, changes: Mapping[str, Value]) -> SettingsFile:
        """Return the file with other values, from which a pod can start.

        :raise CannotStart: no pod can start from it.
        :raise StateUnusable: the database's address can't be used.
        """
        from twisted.internet import reactor

        text = _edited(self.path, self.text, changes)
        settings = _settings(self.path, text)
        check_pod(reactor, settings)
        return SettingsFile(self.path, text, settings, self.is_new)

    def write(self) -> None:
        """Write the file whole or not at all, so that the pod can read it and others can't.

        :raise OSError: it can't be written.
        """
        mode, owner = _MODE, None
        if not self.is_new:
            found = self.path.stat()
            mode, owner = stat.S_IMODE(found.st_mode) & _MODE, (found.st_uid, found.st_gid)
        elif os.geteuid() == 0 and self.settings.state_directory.exists():
            owner = (0, self.settings.state_directory.stat().st_gid)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, self.text.encode("utf-8"), mode, owner)


def _edited(path: Path, text: str, changes: Mapping[str, Value]) -> str:
    try:
        return edited(text, changes)
    except CannotEdit:
        wanted = "".join(f"\n    {key} = {shown_value(one)}" for key, one in changes.items())
        raise BadSettings(
            f"{path}: has some of these settings over several lines, which setup doesn't change. "
            f"Write them on one line each, or set them yourself:{wanted}"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{path}: is not TOML: {error}") from None


def _settings(path: Path, text: str) -> PodSettings:
    """Read a text as if it were the file.

    :raise BadSettings: with every fault found.
    """
    with tempfile.TemporaryDirectory() as directory:
        trial = Path(directory) / path.name
        write_atomically(trial, text.encode("utf-8"))
        try:
            return read_pod_settings(trial, None)
        except BadSettings as error:
            raise BadSettings(str(error).replace(str(trial), str(path))) from None

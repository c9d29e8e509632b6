"""The command line's saved sign-ins: one file, readable to its owner only.

Knows files and JSON, and nothing of the API.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import field, frozen

from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.own_directories import own_directory
from tunnelcloud.net.foreign_json import read_foreign_json


@frozen
class SavedLogin:
    """A sign-in at one pod's address."""

    url: str
    token: str = field(repr=False)
    user: str


def logins_path() -> Path:
    """Say where the file is.

    :raise Failed: the user has no home directory.
    """
    return own_directory("XDG_CONFIG_HOME", ".config") / "tunnelcloud" / "logins.json"


def load_logins() -> list[SavedLogin]:
    """Read all sign-ins, the latest first; nothing without a file, or a home directory for it.

    :raise Failed: the file can't be used.
    """
    # What reads and writes it brings cryptography along, which --help need not pay for.
    from tunnelcloud.private_files import ExposedPrivateFile, UnreadablePrivateFile, read_private

    try:
        path = logins_path()
    except Failed:
        return []
    if not path.exists():
        return []
    try:
        found: Any = read_foreign_json(read_private(path))
        return [SavedLogin(one["url"], one["token"], one["user"]) for one in found["logins"]]
    except (ExposedPrivateFile, UnreadablePrivateFile) as error:
        raise Failed(str(error)) from None
    except (ValueError, KeyError, TypeError):
        raise Failed(f"{path} can't be read: delete it, and sign in again") from None


def keep_login(login: SavedLogin) -> None:
    """Save a sign-in, which is the default from now on."""
    _save([login, *(one for one in load_logins() if one.url != login.url)])


def forget_login(url: str) -> None:
    """Forget the sign-in at an address."""
    _save([one for one in load_logins() if one.url != url])


def _save(logins: list[SavedLogin]) -> None:
    from tunnelcloud.private_files import write_atomically

    path = logins_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = [{"url": one.url, "token": one.token, "user": one.user} for one in logins]
    write_atomically(path, json.dumps({"logins": kept}, indent=1).encode())

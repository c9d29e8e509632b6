"""The directories of the user who runs the command, where there is a home directory or not.

A container's user often has neither ``HOME`` nor a line in ``/etc/passwd``.
"""

from __future__ import annotations

import os
from pathlib import Path

from tunnelcloud.cli.client import Failed


def own_directory(variable: str, *below_home: str) -> Path:
    """Give a directory of the XDG Base Directory Specification.

    :param variable: the variable of the environment that names it.
    :param below_home: where it is without the variable.
    :raise Failed: the user has no home directory.
    """
    named = os.environ.get(variable)
    if named:
        return Path(named)
    try:
        return Path.home().joinpath(*below_home)
    except RuntimeError:
        raise Failed(f"this user has no home directory: set HOME, or {variable}") from None


def expanded(path: str) -> Path:
    """Put a home directory in the place of a ``~`` at the beginning, if there is one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)

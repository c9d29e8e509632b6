"""What to do with the file of a new key: where it goes, and the command that uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from tunnelcloud.domain.connecting.files import plink_arguments
from tunnelcloud.domain.connecting.quoting import posix, powershell
from tunnelcloud.domain.connecting.way import Way

_HOME = "~/.ssh/"


@frozen
class FirstUse:
    """The same two steps on one system.

    :ivar keep: the command that moves the file from the downloads and lets nobody else read it.
    :ivar connect: the command that opens a tunnel with it; empty while no tunnel opens by a key.
    :ivar path: where the file is then, as fields of tools take it.
    """

    system: str
    keep: str
    connect: str
    path: str


def first_use(file: str, way: Way | None, *, putty: bool) -> list[FirstUse]:
    """Say what to do with a new key's file, system by system.

    :param file: its name; letters, digits, dots and hyphens.
    :param way: into a tunnel that opens by a key; None without one.
    :param putty: whether the file is PuTTY's.
    """
    place = _HOME + file
    unix = f"mkdir -p -m 700 ~/.ssh && mv ~/Downloads/{file} ~/.ssh/ && chmod 600 {place}"
    windows = "\n".join(
        [
            'New-Item -ItemType Directory -Force "$HOME\\.ssh" | Out-Null',
            f'Move-Item "$HOME\\Downloads\\{file}" "$HOME\\.ssh\\"',
            f'icacls "$HOME\\.ssh\\{file}" /inheritance:r /grant:r "${{env:USERNAME}}:F"',
        ]
    )
    return [
        FirstUse("Linux and macOS", unix, _command(way, place, putty, posix, place), place),
        FirstUse(
            "Windows, in PowerShell",
            windows,
            _command(way, place, putty, powershell, f'"$HOME\\.ssh\\{file}"'),
            f"%USERPROFILE%\\.ssh\\{file}",
        ),
    ]


def _command(
    way: Way | None,
    place: str,
    putty: bool,
    quote: Callable[[Sequence[str]], str],
    shown: str,
) -> str:
    """Write the command with the file's place as the shell itself completes it.

    plink completes no ``~``, and not each release of ssh for Windows does.
    """
    if way is None:
        return ""
    one = evolve(way, key_file=place)
    words = plink_arguments(one) if putty else one.arguments()
    return quote(words).replace(quote([place]), shown, 1)

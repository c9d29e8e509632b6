"""What the settings files of all programs have in common: TOML, lengths of time, addresses.

Knows no program's settings, and no library of models: a connector loads this.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunnelcloud.domain.durations import BadLength, read_length
from tunnelcloud.domain.names import BadName, read_host
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.private_files import ExposedPrivateFile, UnreadablePrivateFile, read_private


class CannotStart(Exception):
    """A program can't start; the message is one clear text that says what to do."""


class BadSettings(CannotStart):
    """A settings file that can't be used; each line names the file, the key and what is allowed."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a settings file.

    :raise BadSettings: it can't be read, or isn't TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadSettings(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path}: is not TOML: {error}") from None


def secret_path(path: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Find a file with a secret.

    :param path: a name without a directory is one of systemd's credentials (``LoadCredential=``).
    :raise ValueError: systemd gives none.
    """
    if path.parent != Path():
        return path
    directory = environment.get("CREDENTIALS_DIRECTORY", "")
    if not directory:
        raise ValueError(
            f'no credentials come from systemd: use a path such as "/etc/{path}", or, in a shell, '
            f"set CREDENTIALS_DIRECTORY to the directory that has {path}"
        )
    return Path(directory) / path


def read_secret(path: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Read a secret from a file of its own, without the end of its line.

    :param path: as in ``secret_path``.
    :raise ValueError: it can't be read, others can read it, or it is empty; the message names the
        file, not the secret.
    """
    path = secret_path(path, environment)
    try:
        secret = read_private(path, environment).decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} can't be read: {error}") from None
    except (ExposedPrivateFile, UnreadablePrivateFile) as error:
        raise ValueError(str(error)) from None
    if not secret:
        raise ValueError(f"{path} is empty")
    return secret


def told(value: object) -> str:
    """Give a wrong value as a fault may show it: not at all where an address may have a password.

    :return: what to write behind the fault, or nothing.
    """
    if isinstance(value, str) and re.search("@|password", value, re.IGNORECASE):
        return ""
    return f" (it is {value!r})"


def parse_duration(text: object) -> int:
    """Read ``30s``, ``10m``, ``24h`` or ``7d`` into seconds.

    :raise ValueError: with what is allowed.
    """
    try:
        seconds = read_length(text) if isinstance(text, str) else 0
    except BadLength:
        seconds = 0
    if not seconds:
        raise ValueError('use a number and a unit, such as "30s", "10m", "24h" or "7d"')
    return seconds


def parse_public_address(text: object, default_port: int) -> PublicAddress:
    """Read ``host``, ``host:port`` or ``[v6]:port``.

    :raise ValueError: with what is allowed.
    """
    wrong = ValueError('use "host:port", such as "pod.example.com:2222" or "[2001:db8::1]:2222"')
    if not isinstance(text, str):
        raise wrong
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+)(?::(\d{1,5}))?", text.strip())
    port = int(match[2] or default_port) if match else 0
    if match is None or not 1 <= port <= 65535:
        raise wrong
    try:
        return PublicAddress(read_host(match[1]), port)
    except BadName as error:
        raise ValueError(str(error)) from None

"""How the words of a command are written for the shells, and for the files, that they go into.

Each function gives text that its reader takes apart into exactly the words that went in.  None
takes a control character: a line break would begin another command, or another line of a file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from enum import StrEnum

_BARE = re.compile(r"[A-Za-z0-9_./:=+~-][A-Za-z0-9_./:@=+~-]*")
_BARE_IN_CONFIG = re.compile(r"[A-Za-z0-9_./:=+~\[-][A-Za-z0-9_./:@=+~\[\]-]*")
# Not what could be a number in another base, an operator, or a parameter with a colon.
_BARE_IN_POWERSHELL = re.compile(
    r"-?[A-Za-z]+|[0-9]{1,5}|(?:[A-Za-z_]|[0-9.]+:)[A-Za-z0-9_./:@=+~-]*"
)
_SINGLE_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")
_SPECIAL_IN_CMD = re.compile(r'[()%!^"<>&|]')
_BACKSLASHES_BEFORE_QUOTE = re.compile(r'(\\*)"')
_TRAILING_BACKSLASHES = re.compile(r"(\\+)$")


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UnquotableWord(ValueError):
    """A word that can't be written for its reader."""


def _check(words: Sequence[str]) -> None:
    if any(_CONTROL.search(word) for word in words):
        raise UnquotableWord("no command or file takes a control character, such as a line break")


class Shell(StrEnum):
    """Where a command is pasted."""

    POSIX = "sh"
    POWERSHELL = "powershell"
    CMD = "cmd"


def posix(words: Sequence[str]) -> str:
    """Quote for sh, bash, zsh and their like.

    :raise UnquotableWord: for a word with a control character.
    """
    _check(words)
    return shlex.join(words)


def powershell(words: Sequence[str]) -> str:
    """Quote for PowerShell: what isn't plain stands in single quotes, in which nothing is special.

    Versions differ in how they hand a double quote to a program, so no word may hold one.
    PowerShell takes the four typographic single quotes for the plain one.

    :raise UnquotableWord: for a word with a double quote or a control character.
    """
    _check(words)
    if any('"' in word for word in words):
        raise UnquotableWord("PowerShell's versions disagree on how a double quote is passed")
    return " ".join(
        word
        if _BARE_IN_POWERSHELL.fullmatch(word)
        else f"'{_SINGLE_QUOTES.sub(lambda quote: quote[0] * 2, word)}'"
        for word in words
    )


def cmd(words: Sequence[str]) -> str:
    """Quote for cmd's prompt, and for the C library that takes the line apart after it.

    A caret keeps cmd from a character that is special to it; ``^%NAME^%`` names a variable that
    doesn't exist, so it stays as it is.

    :raise UnquotableWord: for a word with a control character.
    """
    _check(words)
    return " ".join(_SPECIAL_IN_CMD.sub(r"^\g<0>", _windows_argument(word)) for word in words)


def _windows_argument(word: str) -> str:
    """Write a word as Windows programs read it: backslashes count before a double quote only."""
    if word and not re.search(r'[\s"]', word):
        return word
    escaped = _BACKSLASHES_BEFORE_QUOTE.sub(r'\1\1\\"', word)
    return f'"{_TRAILING_BACKSLASHES.sub(lambda found: found[0] * 2, escaped)}"'


QUOTING: dict[Shell, Callable[[Sequence[str]], str]] = {
    Shell.POSIX: posix,
    Shell.POWERSHELL: powershell,
    Shell.CMD: cmd,
}


def systemd(words: Sequence[str]) -> str:
    """Quote for ``ExecStart=``: percent and dollar signs are doubled (systemd.service(5)).

    :raise UnquotableWord: for a word with a control character.
    """
    _check(words)

    def quoted(word: str) -> str:
        escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
        if word and _BARE.fullmatch(word):
            return escaped
        return '"' + escaped.replace('"', '\\"') + '"'

    return " ".join(map(quoted, words))


def ssh_config(value: str, *, tokens: bool = True) -> str:
    """Quote a value of a line of ``ssh_config``.

    Releases differ in how they read a backslash or a double quote inside of quotes, so Windows'
    separators become slashes, which its OpenSSH takes as well.

    :param tokens: whether a percent sign begins a token in this line, as it does in most.
    :raise UnquotableWord: for a value with a double quote or a control character.
    """
    _check([value])
    if '"' in value:
        raise UnquotableWord("ssh_config has no way to write a double quote for every release")
    escaped = value.replace("\\", "/")
    if tokens:
        escaped = escaped.replace("%", "%%")
    return escaped if _BARE_IN_CONFIG.fullmatch(value) else f'"{escaped}"'

"""What a tool's tab holds: the ways to connect it, each as rows to copy, texts and a file.

Rows carry the tool's own field names.  Nothing here knows a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from attrs import frozen

from tunnelcloud.domain.connecting.files import DEFAULT_KEY_FILE
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import Method


class Kind(StrEnum):
    """How a tool comes to the target, in the order in which ways are offered."""

    KEY = "key"
    COMMAND = "command"
    TOKEN = "token"  # noqa: S105  (the name of a method)


@frozen
class Row:
    """One field of a tool's dialog.

    :ivar place: the tab or page of the dialog it is on.
    :ivar copied: whether the value is text to paste, and not a box to tick.
    :ivar secret: whether a one-time token goes there; the value says so until there is one.
    """

    place: str
    label: str
    value: str
    copied: bool = True
    secret: bool = False


@frozen
class Text:
    """A line or a block to paste, or to keep as a file of this name."""

    title: str
    text: str
    file_name: str = ""


@frozen
class Manner:
    """One way to connect a tool.

    :ivar missing: why it can't be had; the rest is empty then.
    :ivar links: addresses that open the tool, where the user's system knows it.
    """

    kind: Kind
    title: str
    note: str = ""
    rows: Sequence[Row] = ()
    texts: Sequence[Text] = ()
    missing: str = ""
    links: Sequence[str] = ()


@frozen
class Tool:
    """A tool's tab.

    :ivar version: the release whose field names these are.
    :ivar where: how to come to the dialog.
    """

    slug: str
    name: str
    version: str
    where: str
    manners: Sequence[Manner]


TITLES = {
    Kind.KEY: "With a key",
    Kind.COMMAND: "Through the command that runs",
    Kind.TOKEN: "With a one-time token: one connection",
}
TOKEN_VALUE = "the one-time token of step 1"  # noqa: S105  (says where to get it)


def absent(kind: Kind) -> Manner:
    """Say that a tunnel doesn't open this way."""
    what = "a key" if kind is Kind.KEY else "a one-time token"
    text = f"This tunnel doesn't open with {what}. An administrator can allow it."
    return Manner(kind, TITLES[kind], missing=text)


def offers(kind: Kind, methods: Sequence[Method]) -> bool:
    """Tell whether a tunnel that opens by these methods opens this way."""
    return kind is Kind.COMMAND or Method(kind.value) in methods


def key_file(way: Way) -> str:
    """Say where the private key is."""
    return way.key_file or DEFAULT_KEY_FILE


def windows_path(file: str) -> str:
    """Write the place of a file below one's home as Windows has it; any other stays as it is."""
    if not file.startswith("~/"):
        return file
    return "C:\\Users\\YOU\\" + file.removeprefix("~/").replace("/", "\\")

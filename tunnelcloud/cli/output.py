"""The commands' output: tables and fields for people, the API's own objects for programs.

Whatever comes from the API is shown as text: a client's version or login name may hold anything,
and must not move the cursor of the administrator who lists it.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import click

from tunnelcloud.domain.durations import length_text
from tunnelcloud.domain.quantities import bytes_text
from tunnelcloud.net.escaping import escape_whole

_SECOND = 1.0


def one_line(text: str) -> str:
    """Make a text safe to print on one line: what isn't printable is escaped."""
    return escape_whole(text.replace("\r\n", " ").replace("\n", " "))


def show_all_characters() -> None:
    """Write characters that the locale's encoding lacks as escapes, since titles may have any."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: object, indent: int | None = 2) -> None:
    """Print what the API answered; ``indent=None`` makes one line of it."""
    click.echo(quoted_text(json.dumps(value, indent=indent, ensure_ascii=False)))


def quoted_text(text: str, long_escapes: bool = False) -> str:
    """Escape control characters as JSON and TOML do, so that the value stays the same.

    :param long_escapes: beyond U+FFFF TOML has ``\\U0001F600``, where JSON has two halves.
    """
    return "".join(
        char if char.isprintable() or char == "\n" else _escaped(char, long_escapes)
        for char in text
    )


def _escaped(char: str, long_escapes: bool) -> str:
    if long_escapes and char > "\uffff":
        return f"\\U{ord(char):08x}"
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], spare: Iterable[str] = ()
) -> None:
    """Print rows below headings, each column as wide as its widest cell.

    :param spare: headings of columns that are left out, the last ones first, where the terminal is
        too narrow for all; a line names them.
    """
    lines = [[heading.upper() for heading in headings]]
    lines += [[one_line(cell) for cell in row] for row in rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(headings))]
    room = terminal_width()
    left_out: list[int] = []
    for column in reversed(range(len(headings))):
        wanted = sum(widths[each] + 2 for each in range(len(widths)) if each not in left_out) - 2
        if room is not None and wanted > room and headings[column] in spare:
            left_out.insert(0, column)
    for line in lines:
        cells = [
            cell + " " * (widths[column] - _width(cell))
            for column, cell in enumerate(line)
            if column not in left_out
        ]
        click.echo("  ".join(cells).rstrip())
    if left_out:
        names = ", ".join(headings[column] for column in left_out)
        say(f"left out, as the terminal is narrow: {names}; --json has all")


def terminal_width() -> int | None:
    """Give how many columns the reader's terminal has; None where a program reads."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_fields(fields: Mapping[str, str]) -> None:
    """Print names and values, one a line; a value stays whole, so that it can be copied."""
    width = max((_width(name) for name in fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name}{' ' * (width - _width(name))}  {one_line(value)}".rstrip())


def answer(text: str) -> None:
    """Print a line that is the answer, or a part of it: a person may want it in a file."""
    click.echo(one_line(text))


def say(text: str) -> None:
    """Print a message for a person that isn't part of the answer."""
    click.echo(one_line(text), err=True)


def shown(value: object) -> str:
    """Write any value of the API for a cell: lists with commas, None as an empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(shown(item) for item in value)
    if isinstance(value, dict):
        return " ".join(f"{key}={shown(item)}" for key, item in value.items())
    return str(value)


def shown_time(value: object) -> str:
    """Show a time of the API on this machine's clock."""
    if not isinstance(value, str):
        return shown(value)
    try:
        return f"{datetime.fromisoformat(value).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    except (ValueError, OverflowError):
        return value


def shown_bytes(value: object) -> str:
    """Show a number of bytes in the unit that fits it."""
    return bytes_text(value) if isinstance(value, int) else shown(value)


def shown_rate(value: object) -> str:
    """Show bytes per second; an empty text where no pod reports them."""
    return f"{shown_bytes(round(value))}/s" if isinstance(value, int | float) else shown(value)


def shown_milliseconds(value: object) -> str:
    """Show a length of time that is measured, to a tenth."""
    return f"{value:.1f} ms" if isinstance(value, int | float) else shown(value)


def shown_seconds(value: object) -> str:
    """Show a length of time in the largest unit that divides it, as it is typed."""
    if not isinstance(value, int) or not value:
        return shown(value)
    return length_text(value)


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


@contextmanager
def progress(doing: str) -> Iterator[None]:
    """Show in a terminal for how long something has been going on, until it is over."""
    over = threading.Event()

    def show() -> None:
        seconds = 0
        while not over.wait(_SECOND):
            seconds += 1
            click.echo(f"\r{one_line(doing)}: {seconds} s", nl=False, err=True)
        if seconds:
            click.echo("\r\x1b[K", nl=False, err=True)

    if not sys.stderr.isatty():
        yield
        return
    showing = threading.Thread(target=show, daemon=True)
    showing.start()
    try:
        yield
    finally:
        over.set()
        showing.join()

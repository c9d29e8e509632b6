"""Changes a few settings in the text of a TOML file, and leaves comments and all else as they are.

Only what one line says can be changed: the result is read again, and one that says something else
than was wanted is no result.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

Value = str | list[str] | None
"""What a setting is to be; None for none."""

_HEADER = re.compile(r"\s*\[\s*([A-Za-z0-9_.\- ]+?)\s*\]\s*(#.*)?$")
_COMMENT = re.compile(r"""(?:[^"'#]|"(?:[^"\\]|\\.)*"|'[^']*')*?(\s+#.*)?$""")


class CannotEdit(Exception):
    """A file says something over several lines, or in another way that isn't edited here."""


def edited(text: str, changes: Mapping[str, Value]) -> str:
    """Give a settings file's text with other values.

    :param changes: values by setting, such as ``ssh.public_address``.
    :raise CannotEdit: the text has them in a form that can't be edited.
    :raise tomllib.TOMLDecodeError: the text isn't TOML.
    """
    wanted = _changed(tomllib.loads(text), changes)
    lines = text.splitlines()
    for key, value in changes.items():
        table, _, name = key.rpartition(".")
        _put(lines, table, name, value)
    result = "".join(f"{line}\n" for line in lines)
    try:
        said = tomllib.loads(result)
    except tomllib.TOMLDecodeError:
        said = {}
    if _filled(said) != _filled(wanted):
        raise CannotEdit
    return result


def shown_value(value: Value) -> str:
    """Write a value as TOML has it; what a setting has by default isn't written."""
    if value is None:
        return "its default"
    return json.dumps(value, ensure_ascii=False)


def _changed(values: Mapping[str, Any], changes: Mapping[str, Value]) -> dict[str, Any]:
    result = {key: dict(one) if isinstance(one, dict) else one for key, one in values.items()}
    for key, value in changes.items():
        *tables, name = key.split(".")
        at = result
        for table in tables:
            at[table] = dict(at.get(table, {}))
            at = at[table]
        at.pop(name, None)
        if value is not None:
            at[name] = value
    return result


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave empty tables out: they say nothing."""
    parts = ((key, _filled(one) if isinstance(one, dict) else one) for key, one in values.items())
    return {key: one for key, one in parts if one != {}}


def _put(lines: list[str], table: str, name: str, value: Value) -> None:
    """Change the line that sets a setting, or the one that has it behind a ``#``, or add one."""
    room = _room(lines, table)
    if room is None:
        if value is not None:
            lines += ["", f"[{table}]", f"{name} = {shown_value(value)}"]
        return
    first, end = room
    there = _find(lines, first, end, rf"\s*{name}\s*=")
    if value is None:
        if there is not None:
            lines[there] = f"# {lines[there].lstrip()}"
        return
    line = f"{name} = {shown_value(value)}"
    if there is None:
        there = _find(lines, first, end, rf"\s*#\s*{name}\s*=")
    if there is not None:
        lines[there] = f"{line}{_comment(lines[there])}"
    else:
        lines.insert(first, line)


def _room(lines: list[str], table: str) -> tuple[int, int] | None:
    """Tell from which line to which a table goes; None where there is none."""
    heads = [at for at, line in enumerate(lines) if _HEADER.match(line) or line.startswith("[[")]
    begins = {_name(lines[at]): at for at in heads}
    if table and table not in begins:
        return None
    first = begins[table] + 1 if table else 0
    return first, next((at for at in heads if at >= first), len(lines))


def _name(line: str) -> str:
    found = _HEADER.match(line)
    return found[1] if found else ""


def _find(lines: list[str], first: int, end: int, pattern: str) -> int | None:
    return next((at for at in range(first, end) if re.match(pattern, lines[at])), None)


def _comment(line: str) -> str:
    """Give what a line has behind its value."""
    found = _COMMENT.match(line.lstrip().removeprefix("#"))
    return (found[1] or "") if found else ""

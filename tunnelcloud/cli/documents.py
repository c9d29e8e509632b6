"""Commands for the configuration in a file: ``apply`` and ``export``."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import BinaryIO

import click

from tunnelcloud.cli.client import Api, Failed, Object
from tunnelcloud.cli.output import one_line, print_json, progress, quoted_text, say, shown
from tunnelcloud.cli.parameters import Connection, json_option, pass_connection, with_api

_APPLY_SECONDS = 360
"""Seconds to wait for an answer; a pod takes less."""

_SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "delete": ("-", "red")}
_COUNTED = {"create": "created", "change": "changed", "delete": "deleted"}


@click.command("apply")
@click.argument("file", type=click.File("rb"), metavar="FILE.toml")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@json_option
@pass_connection
def apply(connection: Connection, file: BinaryIO, dry_run: bool, as_json: bool) -> None:
    """Create and change objects as a file describes them.

    All of it is done, or nothing. Objects that it doesn't name are left alone; - is standard
    input. What was done is shown as a plan of additions (+), changes (~) and deletions (-).
    """
    document = _read(file)
    try:
        with progress(f"applying {file.name}"):
            answer = connection.open().send(
                "POST",
                "apply",
                document,
                query={"dry_run": True if dry_run else None},
                seconds=_APPLY_SECONDS,
            )
    except Failed as error:
        raise type(error)(f"{file.name}: {error}") from None
    if as_json:
        print_json(answer)
        return
    for step in answer["steps"]:
        _print_step(step)
    say(_summary(answer["steps"], dry_run))


@click.command("export")
@with_api
def export(api: Api, as_json: bool) -> None:
    """Write the configuration as a file that apply takes.

    It has sites, connectors, policies, users, groups and tunnels. Secrets are not in it:
    passwords, tokens, what connectors hold.
    """
    found = api.get("export")
    if as_json:
        print_json(found)
        return
    import tomli_w

    click.echo(quoted_text(tomli_w.dumps(found), long_escapes=True), nl=False)


def _read(file: BinaryIO) -> Object:
    try:
        found = tomllib.loads(file.read().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Failed(f"{file.name}: is not UTF-8 (byte {error.start})") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Failed(f"{file.name}: is not TOML: {error}") from None
    return {name: _sendable(value) for name, value in found.items()}


def _sendable(value: object) -> object:
    """Convert TOML's dates, which JSON doesn't have, to text; the API checks it."""
    if isinstance(value, Mapping):
        return {name: _sendable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_sendable(one) for one in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _print_step(step: Object) -> None:
    sign, colour = _SIGNS[step["action"]]
    _coloured(f"{sign} {step['path']}", colour)
    for one in step["fields"]:
        name, before, after = one["field"], shown(one["before"]), shown(one["after"])
        if step["action"] == "create":
            _coloured(f"    + {name} = {after}", "green")
            continue
        if before:
            _coloured(f"    - {name} = {before}", "red")
        if after:
            _coloured(f"    + {name} = {after}", "green")


def _coloured(text: str, colour: str) -> None:
    # Colours only where a terminal shows them (click sees to that), and nobody minds them.
    click.secho(one_line(text), fg=colour, color=False if "NO_COLOR" in os.environ else None)


def _summary(steps: list[Object], dry_run: bool) -> str:
    if not steps:
        return "nothing to do: everything is as the file says"
    counts = {
        done: sum(step["action"] == action for step in steps) for action, done in _COUNTED.items()
    }
    told = ", ".join(f"{count} {done}" for done, count in counts.items() if count)
    return f"{told} (not done: this was a dry run)" if dry_run else told

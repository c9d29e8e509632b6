"""``create list show set delete`` for every noun, made of its description in ``object_options``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

from tunnelcloud.cli.client import COLLECTIONS, Api, Failed, Object
from tunnelcloud.cli.object_options import Column, Noun, Option
from tunnelcloud.cli.output import (
    answer,
    one_line,
    print_fields,
    print_json,
    print_table,
    say,
    shown,
    shown_milliseconds,
    shown_time,
)
from tunnelcloud.cli.parameters import Connection, count, json_flag, or_nothing, pass_connection
from tunnelcloud.domain.join_tokens import (
    JoinRefused,
    address_warning,
    keep_command,
    parse_join_token,
)
from tunnelcloud.domain.quantities import counted


def commands_of(noun: Noun) -> click.Group:
    """Make the group of a noun, with its five commands."""
    group = click.Group(noun.name, help=noun.help)
    for command in (_create(noun), _list(noun), _show(noun), _set(noun), _delete(noun)):
        group.add_command(command)
    return group


def list_objects(
    api: Api,
    path: str,
    columns: Iterable[Column],
    as_json: bool,
    limit: int | None = None,
    **query: object,
) -> None:
    """Print a list of the API: all of it, or its first ``limit`` items."""
    items, cursor = api.pages(path, limit, **query)
    print_list(api, items, cursor, columns, as_json)


def print_list(
    api: Api, items: list[Object], cursor: str | None, columns: Iterable[Column], as_json: bool
) -> None:
    """Print items; ``cursor`` is not None when there are more."""
    if as_json:
        print_json({"items": items, "next_cursor": cursor})
        return
    if items:
        print_table(
            [column.heading for column in columns],
            ([cell(api, column, item) for column in columns] for item in items),
            [column.heading for column in columns if column.spare],
        )
    else:
        say("nothing to list")
    if cursor is not None:
        say(f"there are more than these {len(items)}: see --limit")


def show_object(api: Api, columns: Iterable[Column], found: Object) -> None:
    """Print all fields of an object: first those with a column, then the others by name."""
    fields = {column.heading: cell(api, column, found) for column in columns}
    known = {column.field for column in columns}
    for name, value in found.items():
        if name not in known:
            heading = name.removesuffix("_ms").replace("_", " ")
            measured = shown_milliseconds if name.endswith("_ms") else shown
            fields[heading] = (shown_time if name.endswith("_at") else measured)(value)
    print_fields(fields)


def cell(api: Api, column: Column, item: Mapping[str, Any]) -> str:
    """Show one field of an object; an id of another object is shown as its name."""
    value = item.get(column.field)
    if column.refers is not None and isinstance(value, str):
        return api.name_of(column.refers, value)
    return column.show(value)


def _create(noun: Noun) -> click.Command:
    def create(connection: Connection, name: str, as_json: bool, **values: Any) -> None:
        api = connection.open()
        made = api.send("POST", COLLECTIONS[noun.name], {"name": name, **_body(api, noun, values)})
        if as_json:
            print_json(made)
            return
        answer(f"created {noun.name} {made['name']} ({made['id']})")
        warn_of(made)
        if isinstance(made.get("join"), dict):
            show_join(made["name"], made["join"])

    options = [_click_option(option, for_create=True) for option in noun.options]
    return _command("create", f"Create {_a(noun)}.", create, [_name_argument("name"), *options])


def _list(noun: Noun) -> click.Command:
    def listing(connection: Connection, limit: int | None, as_json: bool) -> None:
        list_objects(connection.open(), COLLECTIONS[noun.name], noun.columns, as_json, limit)

    limit = click.Option(["--limit"], type=count, help="Only the first ones.")
    return _command("list", f"List all {noun.name}s.".replace("ys.", "ies."), listing, [limit])


def _show(noun: Noun) -> click.Command:
    def show(connection: Connection, wanted: str, as_json: bool) -> None:
        api = connection.open()
        found = api.resolve(noun.name, wanted)
        if as_json:
            print_json(found)
        else:
            show_object(api, noun.columns, found)

    return _command("show", f"Show {_a(noun)}.", show, [_name_argument(noun.name)])


def _set(noun: Noun) -> click.Command:
    def change(
        connection: Connection, wanted: str, as_json: bool, dry_run: bool = False, **values: Any
    ) -> None:
        if all(value in (None, ()) for value in values.values()):
            raise click.UsageError(f"nothing to set; see `tunnelcloud {noun.name} set --help`")
        api = connection.open()
        body = _body(api, noun, values)
        if values["new_name"] is not None:
            body["name"] = values["new_name"]
        path = f"{COLLECTIONS[noun.name]}/{api.resolve_id(noun.name, wanted)}"
        if dry_run:
            show_preview(api.send("POST", f"{path}/preview", body), as_json)
            return
        changed = api.send("PATCH", path, body)
        if as_json:
            print_json(changed)
        else:
            answer(f"changed {noun.name} {changed['name']} ({changed['id']})")
            warn_of(changed)

    rename = click.Option(["--name", "new_name"], help="A new name.")
    options = [
        _click_option(option, for_create=False) for option in noun.options if not option.fixed
    ]
    return _command(
        "set",
        f"Change {_a(noun)}.\n\nOnly the given values; an empty text ('') removes a value.",
        change,
        [_name_argument(noun.name), rename, *options, *_dry_run(noun)],
    )


def _dry_run(noun: Noun) -> list[click.Option]:
    text = "Only say whom it concerns, and which sessions it would cut now."
    return [click.Option(["--dry-run"], is_flag=True, help=text)] if noun.has_preview else []


def _delete(noun: Noun) -> click.Command:
    def delete(connection: Connection, wanted: str, yes: bool, as_json: bool) -> None:
        api = connection.open()
        path = f"{COLLECTIONS[noun.name]}/{api.resolve_id(noun.name, wanted)}"
        cost = f" {cost_text(api.get(f'{path}/deletion'))}" if noun.has_cost else ""
        if not yes:
            confirm(f"Delete {noun.name} {wanted}?{cost}")
        api.send("DELETE", path)
        report_done(f"deleted {noun.name} {wanted}.{cost}", as_json)

    text = (
        f"Delete {_a(noun)}. It lists what that cuts, and asks; without a terminal it needs --yes."
    )
    yes = click.Option(["--yes"], is_flag=True, help="Don't ask.")
    return _command("delete", text, delete, [_name_argument(noun.name), yes])


def _a(noun: Noun) -> str:
    return f"{'an' if noun.name[0] in 'aeio' else 'a'} {noun.name}"


def confirm(question: str) -> None:
    """Ask whether to delete something.

    :raise Failed: where there is nobody to ask.
    :raise click.Abort: when the answer is no.
    """
    if not at_terminal():
        raise Failed(f"{question} Add --yes to confirm: there is no terminal to ask at")
    click.confirm(one_line(question), abort=True, err=True)


def at_terminal() -> bool:
    """Tell whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def cost_text(cost: Object) -> str:
    """Say what a deletion would cut, and what else it would delete."""
    told = []
    if cost["channels"]:
        connections = counted(cost["channels"], "open connection")
        told.append(f"cuts {connections} of {counted(cost['users'], 'user')}")
    if cost["sessions"]:
        told.append(f"ends {counted(cost['sessions'], 'session')}")
    if cost["objects"]:
        objects = ", ".join(counted(count, noun) for noun, count in cost["objects"].items())
        told.append(f"takes {objects} with it")
    if cost["in_use"]:
        verb = "has" if cost["in_use"] == 1 else "have"
        told.append(f"is refused while {counted(cost['in_use'], 'assignment')} {verb} it")
    return f"It {'; '.join(told)}." if told else "Nothing depends on it."


def show_preview(preview: Object, as_json: bool) -> None:
    """Print what a change would cut; the change isn't made."""
    if as_json:
        print_json(preview)
        return
    answer(f"holds {preview['sentence']}")
    if preview["standing"]:
        answer(preview["standing"])
    users, tunnels = counted(preview["users"], "user"), counted(preview["tunnels"], "tunnel")
    answer(f"concerns {users} and {tunnels}; {counted(preview['sessions'], 'open session')}")
    if preview["cuts"]:
        print_table(
            ["user", "from", "since", "connections", "why"],
            (
                [
                    one["user_name"],
                    one["source_ip"],
                    shown_time(one["started_at"]),
                    f"{one['channels']}{' (all)' if one['ends'] else ''}",
                    one["reason"],
                ]
                for one in preview["cuts"]
            ),
        )
    connections = counted(preview["cut_channels"], "connection")
    sessions = counted(preview["cut_sessions"], "session")
    say(f"it would cut {connections} of {sessions} (not done: this was a dry run)")
    if not preview["is_complete"]:
        say("there are more sessions than were looked at: it may cut more")


def warn_of(answer: Object) -> None:
    """Print the warnings about an object that was just created or changed."""
    if answer.get("check_fault") and answer.get("enabled"):
        say(f"warning: the check failed: {answer['check_fault']}")
    for warning in answer.get("warnings", ()):
        say(f"warning: {warning}")


def report_done(text: str, as_json: bool, made: object = None) -> None:
    """Say what was done.

    :param made: the API's object for it; None for nothing.
    """
    if as_json:
        print_json({} if made is None else made)
    else:
        answer(text)


def show_join(name: str, join: Object) -> None:
    """Print what introduces a connector to its pod.

    :param name: the connector's.
    """
    print_fields(
        {
            "join token": shown(join.get("token")),
            "good until": shown_time(join.get("expires_at")),
            "keep it with": f"{shown(keep_command(name))}  # paste it, then Return and Ctrl-D",
            "start it with": shown(join.get("command")),
            "or, by its package": "tunnelcloud-connector join, as root; it asks for the token",
        }
    )
    try:
        warning = address_warning(parse_join_token(str(join.get("token"))))
    except JoinRefused:
        return
    if warning:
        say(f"warning: {warning}")


def _body(api: Api, noun: Noun, values: Mapping[str, Any]) -> Object:
    body: Object = {}
    for option in noun.options:
        value = values.get(option.field)
        if value is None or value == ():
            continue
        if option.pairs:
            body[option.field] = dict(map(_pair, filter(None, value)))
        elif option.many:
            body[option.field] = [item for item in value if item]
        elif option.clears and value == "":
            body[option.field] = None
        elif option.refers is not None:
            body[option.field] = api.resolve_id(option.refers, value)
        else:
            body[option.field] = value
    return body


def _pair(text: str) -> tuple[str, str]:
    value, equals, name = text.rpartition("=")
    if not equals or not value:
        raise click.UsageError(f"{text!r}: use VALUE=NAME, such as db-admins=dba")
    return value, name


def _click_option(option: Option, for_create: bool) -> click.Option:
    names = [option.flag, option.field]
    if option.kind is None:
        return click.Option(names, default=None, help=option.help)
    kind = option.kind
    if option.clears and not for_create and not isinstance(kind, click.ParamType):
        kind = or_nothing(kind) if kind is not str else str
    return click.Option(
        names,
        type=kind,
        multiple=option.many,
        required=option.required and for_create,
        metavar=option.refers.upper() if option.refers else None,
        help=option.help,
    )


def _name_argument(metavar: str) -> click.Argument:
    if metavar == "name":
        return click.Argument(["name"])
    return click.Argument(["wanted"], metavar=metavar.upper())


def _command(
    name: str, text: str, callback: Callable[..., None], params: list[Any]
) -> click.Command:
    return click.Command(
        name, callback=pass_connection(callback), params=[*params, json_flag()], help=text
    )

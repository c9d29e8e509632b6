"""The command that ends or deletes one object of a kind without names, by its id."""

from __future__ import annotations

import click

from tunnelcloud.cli.crud import report_done
from tunnelcloud.cli.parameters import Connection, json_option, pass_connection


def add_ending(group: click.Group, verb: str, noun: str, plural: str, done: str, text: str) -> None:
    """Add the command to a group.

    :param noun: as ids are known by it.
    :param done: the verb's past form, for the output.
    :param text: the command's help.
    """

    @group.command(verb, help=text)
    @click.argument("object_id", metavar="ID")
    @json_option
    @pass_connection
    def end(connection: Connection, object_id: str, as_json: bool) -> None:
        connection.open().delete_by_id(noun, plural, object_id)
        report_done(f"{done} {object_id}", as_json)

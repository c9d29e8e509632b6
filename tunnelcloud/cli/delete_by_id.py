"""The command that ends or deletes an object of a kind that has no names, by the object's id."""

from __future__ import annotations

import click

from tunnelcloud.cli.client import Api
from tunnelcloud.cli.crud import report_done
from tunnelcloud.cli.parameters import with_api


def add_ending(group: click.Group, verb: str, noun: str, plural: str, done: str, text: str) -> None:
    """Add the command to a group.

    :param noun: as ids are known by it.
    :param done: the verb's past form, for the output.
    :param text: the command's help.
    """

    @group.command(verb, help=text)
    @click.argument("object_id", metavar="ID")
    @with_api
    def end(api: Api, object_id: str, as_json: bool) -> None:
        api.delete_by_id(noun, plural, object_id)
        report_done(f"{done} {object_id}", as_json)

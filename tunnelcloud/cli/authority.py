"""Commands for the CA of pods and connectors, and its replacement."""

from __future__ import annotations

import click

from tunnelcloud.cli.client import Api
from tunnelcloud.cli.crud import report_done
from tunnelcloud.cli.output import answer, print_json, print_table, shown_time
from tunnelcloud.cli.parameters import with_api


@click.group("authority")
def authority() -> None:
    """The certificate authority of pods and connectors."""


@authority.command("show")
@with_api
def show_authority(api: Api, as_json: bool) -> None:
    """Show the CA, and how far connectors have moved to a new one."""
    found = api.get("authority")
    if as_json:
        print_json(found)
        return
    counts = [found["connectors_left"], found["connectors_moved"]]
    known = found["authorities"]
    print_table(
        ["use", "fingerprint", "ends", "connectors"],
        (
            [one["use"], one["fingerprint"], shown_time(one["expires_at"]), str(count)]
            for one, count in zip(known, counts[-len(known) :], strict=True)
        ),
    )
    if len(known) > 1 and found["left"]:
        answer(f"not moved yet: {', '.join(found['left'])}")
    if len(known) > 1 and found["join_tokens"]:
        answer(f"unused join tokens of the old CA: {found['join_tokens']}")


@authority.command("rotate")
@with_api
def rotate_authority(api: Api, as_json: bool) -> None:
    """Create a new CA, to which connectors move.

    Both are trusted until `authority retire`; connectors that are attached move within a minute.
    """
    api.send("POST", "authority/rotate")
    report_done(
        "connectors move to the new CA; `tunnelcloud authority show` says how far they are, and "
        "`tunnelcloud authority retire` ends the trust in the old one",
        as_json,
    )


@authority.command("retire")
@click.option(
    "--force", is_flag=True, help="Even if connectors haven't moved: they have to join again."
)
@with_api
def retire_authority(api: Api, force: bool, as_json: bool) -> None:
    """Stop trusting the old CA, once every connector has moved.

    Join tokens that the old CA made are void then.
    """
    api.send("POST", "authority/retire", {"force": force})
    report_done("there is only the new CA", as_json)

"""Commands on a machine that a pod or a connector runs on, which need no running pod."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import click
from twisted.internet.interfaces import IReactorCore

from tunnelcloud.cli.database import pod_options, pod_settings
from tunnelcloud.cli.output import say
from tunnelcloud.config import CannotStart, read_toml
from tunnelcloud.connector.addresses import BadRule, parse_access_list
from tunnelcloud.connector.settings import read_connector_settings
from tunnelcloud.daemon import endpoint_of
from tunnelcloud.domain.entities import Role
from tunnelcloud.domain.names import BadName, read_user_name
from tunnelcloud.domain.tokens import hash_secret, new_link_secret
from tunnelcloud.settings import PodSettings, read_pod_settings
from tunnelcloud.store import invitations, second_factors, users
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import NotFound, StoreError
from tunnelcloud.store.transaction import Actor, Transaction

_LINK_SECONDS = 60 * 60
_OF_PODS = frozenset({"ssh", "web", "connectors", "database", "tokens", "front", "metrics", "name"})


@click.group()
def config() -> None:
    """Look at settings files."""


@config.command("check")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--for",
    "program",
    type=click.Choice(["pod", "connector"]),
    help="Which program's file it is; else its settings tell.",
)
def check(file: Path, program: str | None) -> None:
    """Judge pod.toml or connector.toml as the start would; exit status 1 when it can't be used."""
    try:
        if program is None:
            program = "pod" if _OF_PODS & read_toml(file).keys() else "connector"
        if program == "pod":
            _check_endpoints(read_pod_settings(file, None))
        else:
            settings = read_connector_settings(file, None)
            parse_access_list(settings.allow, settings.deny)
    except (CannotStart, BadRule) as error:
        raise click.ClickException(str(error)) from None
    say(f"{file}: a {program} can start with it.")


def _check_endpoints(settings: PodSettings) -> None:
    from twisted.internet import reactor

    for section in ("ssh", "connectors", "web", "metrics", "front"):
        for description in getattr(settings, section).listen:
            # Only what systemd starts has its sockets.
            if not description.startswith("systemd:"):
                endpoint_of(cast(IReactorCore, reactor), f"{section}.listen", description)


@click.group()
def admin() -> None:
    """Get back in when no administrator can."""


@admin.command("recover")
@click.argument("name")
@pod_options
def recover(name: str, config: Path | None, state: Path | None) -> None:
    """Make NAME an administrator who can sign in, and print a link to set a password.

    A user of this name is let in again, made an administrator, and loses the second factor; a user
    who isn't there is made. A pod on SQLite has to be stopped meanwhile. The audit has it.
    """
    settings = pod_settings(config, state)
    secret = new_link_secret(os.urandom)
    try:
        store = open_store(settings.database.url, settings.state_directory)
        try:
            actor = Actor("tunnelcloud admin recover")
            store.acting(actor).write(_recover, read_user_name(name), hash_secret(secret))
        finally:
            store.close()
    except (BadName, StoreError) as error:
        raise click.ClickException(str(error)) from None
    url = settings.web.public_url or "http://127.0.0.1:8080"
    say(f"{url}/invitation/{secret}")
    say("Open it within an hour, once the pod runs: it sets the password.")


def _recover(transaction: Transaction, name: str, secret_hash: bytes) -> None:
    try:
        user = users.find(transaction, name)
    except NotFound:
        user = users.create(transaction, name=name, role=Role.ADMIN)
    else:
        changes = {"role": Role.ADMIN, "blocked": False, "service": False}
        user = users.update(transaction, user.id, changes)
        second_factors.remove(transaction, user.id)
    invitations.create(
        transaction, user_id=user.id, secret_hash=secret_hash, lifetime_seconds=_LINK_SECONDS
    )

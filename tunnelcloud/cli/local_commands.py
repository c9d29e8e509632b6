"""Commands on a machine that a pod or a connector runs on, which need no running pod."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import fields

from tunnelcloud.cli.database import pod_options, pod_settings
from tunnelcloud.cli.output import answer, say
from tunnelcloud.connector.settings import ConnectorSettings
from tunnelcloud.connector.starting import read_plan
from tunnelcloud.daemon import endpoint_of
from tunnelcloud.domain.names import BadName, read_user_name
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret, new_link_secret
from tunnelcloud.pki.sealing import BadSealingKey, load_sealer
from tunnelcloud.pod.web_certificate import WebCertificate, check_trusted
from tunnelcloud.private_files import ExposedPrivateFile, UnreadablePrivateFile
from tunnelcloud.settings import LISTENING, PodSettings, read_pod_settings
from tunnelcloud.settings.listening import host_of, tcp_port_of
from tunnelcloud.settings.web import WebSettings
from tunnelcloud.settings_files import CannotStart, read_toml
from tunnelcloud.sinks.sinks import check_sinks
from tunnelcloud.store import invitations, second_factors, users
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import NotFound, StateUnusable, StoreError
from tunnelcloud.store.postgres import postgres_engine
from tunnelcloud.store.snapshots import there
from tunnelcloud.store.sqlite_files import FILE_NAME
from tunnelcloud.store.transaction import Actor, Transaction

_LINK_SECONDS = 60 * 60
_Command = TypeVar("_Command", bound=Callable[..., Any])


def program_options(command: _Command) -> _Command:
    """Add the options that say whose settings a file has."""
    command = click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        help="The state directory, if the pod or connector is started with --state.",
    )(command)
    return click.option(
        "--for",
        "program",
        type=click.Choice(["pod", "connector"]),
        help="Which program's file it is; else its settings tell.",
    )(command)


@click.group()
def config() -> None:
    """Look at settings files."""


@config.command("check")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@program_options
def check(file: Path, program: str | None, state: Path | None) -> None:
    """Judge pod.toml or connector.toml as the start would; exit status 1 when it can't be used.

    Certificates and files with secrets are read, and this shell's HTTPS_PROXY counts for a
    connector; the database isn't asked.
    """
    from twisted.internet import reactor

    try:
        program = program or program_of(file)
        if program == "pod":
            check_pod(reactor, read_pod_settings(file, state))
        else:
            read_plan(reactor, file, state)
    except (CannotStart, StateUnusable) as error:
        raise click.ClickException(str(error)) from None
    say(f"{file}: a {program} can start with it.")


def program_of(file: Path) -> str:
    """Tell whether a file's settings are a ``pod``'s or a ``connector``'s.

    :raise click.UsageError: they don't tell.
    :raise CannotStart: the file can't be read.
    """
    keys = read_toml(file).keys()
    pods, connectors = (
        set(PodSettings.model_fields),
        {one.name for one in fields(ConnectorSettings)},
    )
    if keys & (pods - connectors):
        return "pod"
    if keys & (connectors - pods):
        return "connector"
    raise click.UsageError(
        f"the settings of {file} don't tell which program they are for: add --for pod or "
        "--for connector"
    )


def check_pod(reactor: Any, settings: PodSettings) -> None:
    """Look whether a pod could start with these settings; nothing is made or opened.

    :raise CannotStart: with a line that says what is wrong and what to do.
    :raise StateUnusable: the database's address can't be used.
    """
    listening = {section: getattr(settings, section).listen for section in LISTENING}
    listening["web"] = settings.web.plain_listen + settings.web.tls_listen
    for section, descriptions in listening.items():
        for description in descriptions:
            # Only what systemd starts has its sockets.
            if not description.startswith("systemd:"):
                endpoint_of(reactor, f"{section}.listen", description)
    WebCertificate.of(settings.web)
    check_trusted(settings.web.acme)
    check_sinks(settings.audit, settings.notify)
    if settings.database.sealing_key_file is not None:
        _check_sealing_key(settings.database.sealing_key_file)
    if settings.database.url != "sqlite":
        postgres_engine(settings.database.url).dispose()


def _check_sealing_key(path: Path) -> None:
    try:
        load_sealer(path)
    except OSError as error:
        raise CannotStart(
            f"database.sealing_key_file: {path} can't be read: {error.strerror}"
        ) from None
    except (BadSealingKey, ExposedPrivateFile, UnreadablePrivateFile) as error:
        raise CannotStart(f"database.sealing_key_file: {error}") from None


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
        if settings.database.url == "sqlite":
            file = settings.state_directory / FILE_NAME
            there(file, "there is no database: name the state directory that the pod has")
        store = open_store(settings.database.url, settings.state_directory)
        try:
            actor = Actor("tunnelcloud admin recover")
            store.acting(actor).write(_recover, read_user_name(name), hash_secret(secret))
        finally:
            store.close()
    except (BadName, StoreError) as error:
        raise click.ClickException(str(error)) from None
    answer(f"{portal_url(settings.web)}/invitation/{secret}")
    say("Open it within an hour, once the pod runs: it sets the password.")


def portal_url(web: WebSettings) -> str:
    """Name the portal's address as the pod does at its start, as far as the settings tell."""
    if web.public_url is not None:
        return web.public_url
    found = ((one, *at) for one in web.listen if (at := tcp_port_of(one)))
    description, port, interface = next(found, ("tcp", 8080, ""))
    scheme = "https" if description.startswith("ssl:") else "http"
    return f"{scheme}://{host_of(interface)}:{port}"


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

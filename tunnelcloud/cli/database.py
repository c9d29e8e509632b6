"""Commands on a pod's own machine for its database: backups, and the move to another one."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from tunnelcloud.cli.output import say
from tunnelcloud.settings import PodSettings, read_pod_settings
from tunnelcloud.settings.values import has_password, read_database_url
from tunnelcloud.settings_files import CannotStart, read_secret
from tunnelcloud.store import database_copying
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import StoreError
from tunnelcloud.store.sqlite_files import FILE_NAME

_Command = TypeVar("_Command", bound=Callable[..., Any])
_TELL_SECONDS = 1.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_NOT_IN_IT = (
    "It holds secrets: keep it as safe as the database. sealing.key and admin.token of the state "
    "directory are not in it: keep a copy of sealing.key elsewhere, for no pod starts on this "
    "database without it."
)


def pod_options(command: _Command) -> _Command:
    """Add the options that name a pod's settings."""
    path = click.Path(dir_okay=False, path_type=Path)
    state = click.Path(file_okay=False, path_type=Path)
    command = click.option("--state", type=state, help="The state directory; alone it is enough.")(
        command
    )
    return click.option("--config", type=path, help="pod.toml")(command)


def pod_settings(config: Path | None, state: Path | None) -> PodSettings:
    """Read a pod's settings.

    :raise click.ClickException: they can't be used.
    """
    if config is None and state is None:
        raise click.UsageError("give --config FILE or --state DIR")
    try:
        return read_pod_settings(config, state)
    except CannotStart as error:
        raise click.ClickException(str(error)) from None


@click.group()
def database() -> None:
    """Back up, restore, move and upgrade a pod's database, on its machine."""


@database.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@pod_options
def back_up(file: Path, config: Path | None, state: Path | None) -> None:
    """Write a snapshot of all rows into FILE, while pods go on.

    It is a SQLite file, from a SQLite or a PostgreSQL database alike.
    """
    settings = pod_settings(config, state)
    told = _Progress()
    _run(told, database_copying.back_up, settings.database.url, settings.state_directory, file)
    say(f"Wrote {file}: {told}, compared with the database.")
    say(_NOT_IN_IT)


@database.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@pod_options
def restore(file: Path, config: Path | None, state: Path | None) -> None:
    """Fill an empty database from the backup in FILE.

    What is good for one use (one-time tokens, links, join tokens) is void then, and nobody is
    signed in to the portal: it may have been used after the backup was made.
    """
    settings = pod_settings(config, state)
    told = _Progress()
    _run(told, database_copying.restore, file, settings.database.url, settings.state_directory)
    say(f"Restored {told}. One-time tokens and links are void, and nobody is signed in.")
    say("What was blocked, revoked or deleted after the backup was made is in force again: look.")


@database.command("migrate-to")
@click.argument("url", required=False)
@click.option(
    "--url-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with the URL, for one that has a password.",
)
@pod_options
def migrate_to(
    url: str | None, url_file: Path | None, config: Path | None, state: Path | None
) -> None:
    """Copy the database of stopped pods into an empty one at URL.

    URL is what [database] url says: postgresql://user@host/name, or sqlite for a file in the state
    directory. One with a password comes from a file (--url-file): other users of the machine see
    the command line. Without one, ~/.pgpass may have it.
    """
    settings = pod_settings(config, state)
    url = _new_url(url, url_file)
    if url == settings.database.url:
        raise click.UsageError("URL is the database that is used already: name another one")
    told = _Progress()
    _run(told, database_copying.move, settings.database.url, settings.state_directory, url)
    say(f"Copied {told}, compared with the old database, which is left as it was.")
    say(
        "Set [database] url (or url_file) in pod.toml, then start the pod. A second pod needs "
        "sealing.key too."
    )


def _new_url(url: str | None, file: Path | None) -> str:
    if (url is None) == (file is None):
        raise click.UsageError("give a URL or --url-file FILE")
    if url is not None and has_password(url):
        raise click.UsageError(
            "other users of this machine can see a password on the command line: write the URL "
            "into a file that only you can read, give --url-file FILE, and change the password"
        )
    try:
        # A name alone would mean one of systemd's credentials.
        return read_database_url(url or read_secret((file or Path()).absolute()))
    except ValueError as error:
        raise click.ClickException(f"the new database: {error}") from None


@database.command("upgrade")
@pod_options
def upgrade(config: Path | None, state: Path | None) -> None:
    """Upgrade the database to this version's schema; pods of the version before go on.

    A pod's start does the same, unless other pods work with the database.
    """
    settings = pod_settings(config, state)
    file = settings.state_directory / FILE_NAME
    is_new = settings.database.url == "sqlite" and not file.exists()
    try:
        open_store(settings.database.url, settings.state_directory).close()
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    say(f"{file} wasn't there: it is new, and empty." if is_new else "The database is up to date.")


class _Progress:
    """Tells the progress on standard error: in one line of a terminal, or in lines now and then."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._told = time.monotonic()
        self._in_place = sys.stderr.isatty()
        self._shows = False

    def __call__(self, table: str, rows: int) -> None:
        """Note how many rows of a table are copied."""
        self._rows[table] = rows
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            text = f"{table}: {rows:,} rows, {self} so far"
            if self._in_place:
                self._shows = True
                click.echo(f"\r{text}\x1b[K", nl=False, err=True)
            else:
                click.echo(text, err=True)

    def end(self) -> None:
        """Clear the line of a terminal."""
        if self._shows:
            click.echo("\r\x1b[K", nl=False, err=True)

    def __str__(self) -> str:
        return f"{sum(self._rows.values()):,} rows of {len(self._rows)} tables"


def _run(told: _Progress, function: Callable[..., None], *arguments: Any) -> None:
    """Run a copying function, until a signal ends it."""
    fate = Fate()
    try:
        with _stopped_by_signals(fate):
            function(*arguments, told, fate)
    except StoreError as error:
        _say_if_stopped(fate)
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        _say_if_stopped(fate)
        raise
    finally:
        told.end()


def _say_if_stopped(fate: Fate) -> None:
    if fate.is_given_up:
        raise click.ClickException("stopped before the end: nothing was changed") from None


@contextmanager
def _stopped_by_signals(fate: Fate) -> Iterator[None]:
    """Have a signal end the work at once, unless its result is already kept."""

    def stop(*_: object) -> None:
        if not fate.is_given_up and fate.give_up():
            raise KeyboardInterrupt

    # nohup and the like ignore a signal on purpose.
    heard = [one for one in _ENDING if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, stop) for one in heard}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)

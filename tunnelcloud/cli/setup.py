"""``tunnelcloud setup``: from an installed package to a pod that can start, by a few questions.

All is asked before anything is written: Ctrl-C leaves everything as it was.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tunnelcloud.cli import setup_database
from tunnelcloud.cli.local_commands import portal_url
from tunnelcloud.cli.output import one_line, print_json, say, shown_time
from tunnelcloud.cli.parameters import json_option
from tunnelcloud.cli.pod_doctor import Kept, key_findings, read_database
from tunnelcloud.cli.public_addresses import lines_elsewhere
from tunnelcloud.cli.setup_address_checks import reach_findings
from tunnelcloud.cli.setup_database import Made, Wanted
from tunnelcloud.cli.setup_file import SettingsFile
from tunnelcloud.cli.setup_plan import SOCKET_UNIT, Tls, changes
from tunnelcloud.cli.setup_questions import Said
from tunnelcloud.net.doctor_findings import Mark
from tunnelcloud.pod.name_claim import HOME_FILE
from tunnelcloud.pod.shared_secrets import UNUSABLE
from tunnelcloud.settings import PodSettings
from tunnelcloud.settings.editing import Value, shown_value
from tunnelcloud.settings_files import CannotStart
from tunnelcloud.store.errors import StateUnusable, StoreError
from tunnelcloud.store.snapshots import check_usable

_DEFAULT_FILE = Path("/etc/tunnelcloud/pod.toml")
_JOIN_BY_PACKAGE = ("apt install ./tunnelcloud-connector_*.deb", "tunnelcloud-connector join")
_JOIN_BY_HAND = (
    "(umask 077; cat > join-token)  # paste it, then Ctrl-D",
    "twistd -n --pidfile= tunnelcloud connector --state connector --join-file join-token",
)


@click.command("setup")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_DEFAULT_FILE,
    show_default=True,
    help="pod.toml; it is made, or changed where your answers differ.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Another state directory than the usual one.",
)
@click.option(
    "--host", help="The name or address by which users and connectors reach this machine."
)
@click.option(
    "--tls",
    type=click.Choice([one.value for one in Tls]),
    help="Who has the certificate for HTTPS: a proxy of yours, an authority by ACME, files.",
)
@click.option(
    "--proxy-from",
    "proxies",
    multiple=True,
    metavar="NETWORK",
    help="With --tls proxy: the proxy's address; this machine by default.",
)
@click.option("--certificate", type=click.Path(path_type=Path), help="Of --tls certificate.")
@click.option("--private-key", type=click.Path(path_type=Path), help="Of --tls certificate.")
@click.option("--acme-contact", "contact", help="With --tls acme: a mail address.")
@click.option(
    "--acme-directory",
    "directory",
    help="With --tls acme: the authority's directory; Let's Encrypt by default.",
)
@click.option("--admin", help="A first administrator, who gets a link to choose a password.")
@click.option("--site", help="A first site, with a connector and its join token.")
@click.option("--connector", help="The connector's name; the site's and -1 by default.")
@click.option("--yes", is_flag=True, help="Ask nothing: write what these options say.")
@json_option
def setup(config: Path, state: Path | None, yes: bool, as_json: bool, **said: Any) -> None:
    """Set up a pod: its addresses, HTTPS, a first administrator and a first site.

    It asks, shows what it is about to change in pod.toml, writes it and judges it as the start
    will, and says what to run next. What is there already stays: run it again to change an answer.
    """
    try:
        file = SettingsFile.read(config, state)
        _set_up(file, Said(asks=not yes, **said), as_json)
    except click.Abort:
        say("\nStopped: nothing was written.")
        raise click.exceptions.Exit(1) from None
    except (CannotStart, StateUnusable, StoreError) as error:
        raise click.ClickException(str(error)) from None


def _set_up(file: SettingsFile, said: Said, as_json: bool) -> None:
    file.check_access()
    running = _running(file.settings)
    answers = said.answers(file.settings)
    wanted_values = changes(file.settings, answers)
    after = file.changed(wanted_values)
    for finding in reach_findings(after.settings, running):
        say(str(finding))
    if running is not None:
        say("The pod runs: make administrators and sites in the portal or by `tunnelcloud`.")
    wanted = Wanted() if running else said.wanted()
    _tell_changes(file, wanted_values, said.asks)
    # From here on nothing is asked.
    if file.is_new or wanted_values:
        _write(after)
    say(f"{file.path}: a pod can start with it.")
    made = _make(after, wanted) if wanted.is_any else Made()
    link = made.link_secret and f"{portal_url(after.settings.web)}/invitation/{made.link_secret}"
    if as_json:
        print_json(_as_json(after, made, link))
    else:
        is_started = running is not None and not wanted_values
        starts = [] if is_started else _start_lines(after, running is not None)
        _tell(after, starts, wanted, made, link)


def _running(settings: PodSettings) -> Kept | None:
    """Look whether a pod could start with the database, and tell what it says if one runs now.

    :raise CannotStart: the keys in it, or the pod's name, are another's.
    :raise StateUnusable: the database can't be used.
    """
    check_usable(settings.database.url, settings.state_directory, settings.name)
    try:
        kept = read_database(settings)
    except StateUnusable:
        return None  # There is none yet, or one that the start brings up to date.
    for finding in key_findings(settings, kept, lambda _: None) if kept.blobs else ():
        if finding.mark is Mark.BAD:
            raise CannotStart(finding.text)
    if not kept.runs(settings.name):
        return None
    if settings.database.url != "sqlite" and not (settings.state_directory / HOME_FILE).exists():
        raise CannotStart(
            f"a pod named {settings.name} runs elsewhere with this database: set another `name` in "
            "pod.toml, then run setup again"
        )
    return kept


def _make(file: SettingsFile, wanted: Wanted) -> Made:
    """Make what is wanted, beside a file that is written.

    :raise click.ClickException: it can't be made.
    """
    try:
        return setup_database.make(file.settings, wanted)
    except (CannotStart, *UNUSABLE) as error:
        why = str(error)
    except KeyboardInterrupt:
        why = "stopped"
    raise click.ClickException(
        f"{why}\n{file.path} is written; neither the administrator nor the site was made. "
        "Run setup again for them."
    )


def _tell_changes(file: SettingsFile, values: Mapping[str, Value], asks: bool) -> None:
    """Show what will be written, and ask whether to write it.

    :raise click.Abort: the answer is no.
    """
    if not values and not file.is_new:
        say(f"{file.path} says all of this already, and stays as it is.")
        return
    say(f"{file.path} {'is made' if file.is_new else 'is there, and changes'}:")
    for key, value in values.items():
        say(f"  {key} = {shown_value(value)}")
    if asks:
        click.confirm("Write it", default=True, abort=True, err=True)


def _write(file: SettingsFile) -> None:
    try:
        file.write()
    except OSError as error:
        raise CannotStart(f"{file.path} can't be written: {error.strerror}") from None


def _tell(
    file: SettingsFile, starts: Sequence[str], wanted: Wanted, made: Made, link: str | None
) -> None:
    for note in made.notes:
        say(f"{note[0].upper()}{note[1:]}.")
    click.echo("\nNext, on this machine:\n")
    for line in (*starts, f"tunnelcloud doctor --config {shlex.quote(str(file.path))}"):
        click.echo(f"    {line}")
    elsewhere = lines_elsewhere(file.settings)
    if elsewhere:
        click.echo(
            "\nThen, where people connect from, since this machine can't tell whether that works:\n"
        )
    for line in elsewhere:
        click.echo(f"    {line}")
    if link is not None:
        click.echo(f"\n{wanted.administrator} then opens this link, once, within three days:\n")
        click.echo(f"    {one_line(link)}")
    if made.recovery_codes:
        click.echo(f"\nRecovery codes of {wanted.administrator}, for a lost device, once each:\n")
        for code in made.recovery_codes:
            click.echo(f"    {code}")
    if made.join_token is not None:
        until = shown_time(made.expires_at and made.expires_at.isoformat())
        click.echo(f"\nOn a machine in {wanted.site}, with this token, once, until {until}:\n")
        for line in _JOIN_BY_PACKAGE if SOCKET_UNIT.exists() else _JOIN_BY_HAND:
            click.echo(f"    {line}")
        click.echo(f"\n    {made.join_token}")


def _start_lines(file: SettingsFile, runs: bool) -> list[str]:
    if not SOCKET_UNIT.exists() or file.path != _DEFAULT_FILE:
        again = "  # end the one that runs before" if runs else ""
        path = shlex.quote(str(file.path))
        return [f"twistd -n --pidfile= tunnelcloud pod --config {path}{again}"]
    units = ["tunnelcloud-pod"]
    if any(one.startswith("systemd:") for one in file.settings.front.listen):
        units.insert(0, "tunnelcloud-pod.socket")
    lines = [f"systemctl enable --now {' '.join(units)}"]
    return [*lines, "systemctl restart tunnelcloud-pod"] if runs else lines


def _as_json(file: SettingsFile, made: Made, link: str | None) -> dict[str, object]:
    join = None
    if made.join_token is not None and made.expires_at is not None:
        join = {"token": made.join_token, "expires_at": made.expires_at.isoformat()}
    return {
        "config": str(file.path),
        "notes": list(made.notes),
        "link": link,
        "recovery_codes": list(made.recovery_codes),
        "join": join,
        "try_elsewhere": lines_elsewhere(file.settings),
    }

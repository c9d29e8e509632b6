"""``tunnelcloud doctor``: checks a pod or a connector from its own machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import click

from tunnelcloud.cli.client import Failed, Object, Unreachable
from tunnelcloud.cli.local_commands import check_pod, program_of, program_options
from tunnelcloud.cli.output import answer, print_json
from tunnelcloud.cli.parameters import Connection, json_option, pass_connection
from tunnelcloud.net.doctor_findings import Finding, Mark, bad, good, warning
from tunnelcloud.settings import read_pod_settings
from tunnelcloud.settings_files import CannotStart
from tunnelcloud.store.errors import StateUnusable

_MOST = 20
"""How many connectors, and how many tunnels, that don't work are named."""


@click.command("doctor")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    required=True,
    help="pod.toml or connector.toml.",
)
@program_options
@json_option
@pass_connection
def doctor(
    connection: Connection, config: Path, program: str | None, state: Path | None, as_json: bool
) -> None:
    """Check what a pod or a connector needs, on its machine.

    Settings, disk, database, keys, certificates, clocks, names and addresses are looked at, whether
    it runs or not, and nothing is changed. The exit status is 1 if something doesn't work.

    Links and targets are what a running pod tells: for those, TUNNELCLOUD_API_TOKEN has to be an
    administrator's or an auditor's.
    """
    try:
        findings = _examine(connection, config, program or program_of(config), state)
        shown = list(_shown(findings, as_json))
    except (CannotStart, StateUnusable) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        print_json([{"what": one.what, "mark": one.mark.value, "text": one.text} for one in shown])
    if any(one.mark is Mark.BAD for one in shown):
        raise click.exceptions.Exit(1)


def _shown(findings: Iterable[Finding], as_json: bool) -> Iterator[Finding]:
    """Yield each finding once it is known: some take seconds."""
    for one in findings:
        if not as_json:
            answer(str(one))
        yield one


def _examine(
    connection: Connection, config: Path, program: str, state: Path | None
) -> Iterator[Finding]:
    from twisted.internet import reactor

    if program == "connector":
        from tunnelcloud.connector.doctor import examine_connector
        from tunnelcloud.connector.starting import read_plan

        plan = read_plan(reactor, config, state)
        yield good("settings", f"a connector can start with {config}")
        yield from examine_connector(plan)
        return
    from tunnelcloud.cli.pod_doctor import examine_pod

    settings = read_pod_settings(config, state)
    check_pod(reactor, settings)
    yield good("settings", f"a pod can start with {config}")
    yield from examine_pod(settings)
    yield from _links_and_targets(connection)


def _links_and_targets(connection: Connection) -> Iterator[Finding]:
    """Ask a running pod for the state of its connectors and its tunnels' targets."""
    if not connection.override and connection.kept is None:
        yield warning(
            "links and targets",
            "a running pod knows them: set TUNNELCLOUD_API_TOKEN, or `tunnelcloud login`",
        )
        return
    try:
        api = connection.open()
        connectors = list(api.each("connectors"))
        tunnels = list(api.each("tunnels"))
    except Unreachable as error:
        yield bad("links and targets", str(error))
        return
    except Failed as error:
        yield warning("links and targets", str(error))
        return
    away = [one for one in connectors if not one["attached_to"]["pods"]]
    yield from _told("connector", connectors, away, _away)
    faulty = [one for one in tunnels if one["last_check"] and not one["last_check"]["ok"]]
    yield from _told("tunnel", tunnels, faulty, _unanswered)


def _told(
    noun: str, everything: Sequence[Object], faulty: Sequence[Object], tell: Callable[..., Finding]
) -> Iterator[Finding]:
    if not faulty:
        yield good(f"{noun}s", f"{len(everything):,}, and nothing is known to be wrong with any")
    for one in faulty[:_MOST]:
        yield tell(f"{noun} {one['name']}", one)
    if len(faulty) > _MOST:
        yield bad(f"{noun}s", f"{len(faulty) - _MOST:,} more don't work")


def _away(what: str, connector: Object) -> Finding:
    if connector["joined_at"] is None:
        return warning(what, "has never joined: start it with its join token")
    return bad(what, "has no link to a pod: run `tunnelcloud doctor` on its machine")


def _unanswered(what: str, tunnel: Object) -> Finding:
    return bad(what, str(tunnel["last_check"]["text"]))

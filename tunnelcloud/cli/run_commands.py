"""The commands for runs of ``connect`` that keep several tunnels open."""

from __future__ import annotations

import click

from tunnelcloud.cli.output import answer, print_json, print_table, say, shown_time
from tunnelcloud.cli.parameters import json_option
from tunnelcloud.cli.run_files import live_runs
from tunnelcloud.domain.ssh_command import bracketed


@click.command("status")
@json_option
def status(as_json: bool) -> None:
    """Show the tunnels that `connect` keeps open on this machine."""
    runs = list(live_runs())
    if as_json:
        print_json({"runs": [{"process": run.process, **run.told} for run in runs]})
        return
    rows = []
    for run in runs:
        answer(f"process {run.process}, {run.told.get('url', '')}, since {_since(run.told)}")
        for one in run.told.get("tunnels", []):
            places = [
                f"{bracketed(str(at['local_address']))}:{at['local_port']}"
                for at in one["forwards"]
            ]
            rows.append((one["tunnel"], ", ".join(places), one["state"], one["why"]))
    if rows:
        print_table(("tunnel", "address", "state", "why"), rows)
    else:
        say("no tunnels are kept open; `tunnelcloud connect --all --detach` does that")


def _since(told: dict[str, object]) -> str:
    return shown_time(told.get("started_at"))


@click.command("stop")
@json_option
def stop(as_json: bool) -> None:
    """End what `connect` keeps open on this machine."""
    runs = list(live_runs())
    for run in runs:
        run.stop()
        if not as_json:
            say(f"stopped process {run.process}")
    if as_json:
        print_json({"stopped": [run.process for run in runs]})
    elif not runs:
        say("no tunnels are kept open")

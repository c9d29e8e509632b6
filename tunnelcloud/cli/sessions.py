"""Commands for sessions and their channels, open and past."""

from __future__ import annotations

import click

from tunnelcloud.cli.client import Api, Failed, is_id
from tunnelcloud.cli.crud import list_objects, report_done, show_object
from tunnelcloud.cli.object_options import Column
from tunnelcloud.cli.output import print_json, shown_bytes, shown_rate, shown_time
from tunnelcloud.cli.parameters import limit_option, with_api

BYTES = (
    Column("to target", "bytes_to_target", shown_bytes, spare=True),
    Column("from target", "bytes_from_target", shown_bytes, spare=True),
)
RATES = (
    Column("rate to", "rate_to_target", shown_rate, spare=True),
    Column("rate from", "rate_from_target", shown_rate, spare=True),
)
_LIVE_COLUMNS = (
    Column("id", "id"),
    Column("user", "user_name"),
    Column("started", "started_at", shown_time),
    Column("source", "source_ip", spare=True),
    Column("method", "method", spare=True),
    *BYTES,
    *RATES,
)
_SESSION_COLUMNS = (
    *(column for column in _LIVE_COLUMNS if column not in RATES),
    Column("ended", "ended_at", shown_time, spare=True),
    Column("end reason", "end_reason", spare=True),
    *RATES,
)
_CHANNEL_COLUMNS = (
    Column("tunnel", "tunnel_name"),
    Column("destination", "destination"),
    Column("port", "port"),
    Column("opened", "opened_at", shown_time),
    Column("connector", "connector_name", spare=True),
    *BYTES,
    *RATES,
    Column("closed", "closed_at", shown_time, spare=True),
    Column("close reason", "close_reason", spare=True),
)


@click.group("session")
def session() -> None:
    """SSH connections that logged in, open and past."""


@session.command("list")
@click.option("--user", metavar="USER", help="Only this user's.")
@click.option("--live", is_flag=True, help="Only those that are open.")
@limit_option
@with_api
def list_sessions(api: Api, user: str | None, live: bool, limit: int, as_json: bool) -> None:
    """List sessions, the latest first."""
    user_id = api.resolve_id("user", user) if user is not None else None
    wanted = {"user_id": user_id, "live": True if live else None}
    columns = _LIVE_COLUMNS if live else _SESSION_COLUMNS
    list_objects(api, "sessions", columns, as_json, limit, **wanted)


def _path(session_id: str) -> str:
    if not is_id("session", session_id):
        shows = "`tunnelcloud session list` shows them"
        raise Failed(f"{session_id!r} is not the id of a session; {shows}")
    return f"sessions/{session_id}"


@session.command("show")
@click.argument("session_id", metavar="ID")
@with_api
def show_session(api: Api, session_id: str, as_json: bool) -> None:
    """Show a session."""
    found = api.get(_path(session_id))
    if as_json:
        print_json(found)
    else:
        show_object(api, _SESSION_COLUMNS, found)


@session.command("channels")
@click.argument("session_id", metavar="ID")
@with_api
def list_channels(api: Api, session_id: str, as_json: bool) -> None:
    """List the forwarded connections of a session."""
    list_objects(api, f"{_path(session_id)}/channels", _CHANNEL_COLUMNS, as_json)


@session.command("end")
@click.argument("session_id", metavar="ID")
@with_api
def end_session(api: Api, session_id: str, as_json: bool) -> None:
    """End a session, on any pod."""
    path = _path(session_id)
    over = api.get(path)["ended_at"]
    if over is not None:
        report_done(f"{session_id} had ended already, at {shown_time(over)}", as_json)
        return
    api.send("DELETE", path)
    report_done(f"ended {session_id}", as_json)

"""Commands for users with an API token of their own: their tunnels, tokens and keys."""

from __future__ import annotations

import click

from tunnelcloud.cli.client import Object
from tunnelcloud.cli.credentials import show_new_token
from tunnelcloud.cli.crud import list_objects
from tunnelcloud.cli.object_options import Column
from tunnelcloud.cli.output import print_fields, print_json, shown, shown_time
from tunnelcloud.cli.own_tunnels import own_tunnel_id
from tunnelcloud.cli.parameters import Connection, count, json_option, limit_option, pass_connection
from tunnelcloud.cli.sessions import BYTES, RATES

_TUNNEL_COLUMNS = (
    Column("name", "name"),
    Column("state", "state"),
    Column("methods", "methods"),
    Column("ports", "target_ports"),
    Column("command", "command"),
)
_KEY_COLUMNS = (
    Column("title", "title"),
    Column("fingerprint", "fingerprint"),
    Column("expires", "expires_at", shown_time),
    Column("last used", "last_used_at", shown_time),
    Column("id", "id"),
)
_SESSION_COLUMNS = (
    Column("id", "id"),
    Column("started", "started_at", shown_time),
    Column("source", "source_ip", spare=True),
    Column("method", "method", spare=True),
    *BYTES,
    *RATES,
    Column("ended", "ended_at", shown_time, spare=True),
    Column("end reason", "end_reason", spare=True),
)


@click.group("me")
def me() -> None:
    """Your own tunnels, keys, tokens and sessions; for API tokens of a user."""


@me.command("show")
@json_option
@pass_connection
def show_me(connection: Connection, as_json: bool) -> None:
    """Show the API token's user and role."""
    found = connection.open().get("me")
    if as_json:
        print_json(found)
        return
    user = found.get("user") or {}
    fields = {"user": user.get("name"), "email": user.get("email"), "role": found["role"]}
    print_fields({name: shown(value) for name, value in fields.items()})


@me.command("tunnels")
@json_option
@pass_connection
def list_my_tunnels(connection: Connection, as_json: bool) -> None:
    """List the tunnels you may open, and their commands."""
    list_objects(connection.open(), "me/tunnels", _TUNNEL_COLUMNS, as_json)


@me.command("keys")
@json_option
@pass_connection
def list_my_keys(connection: Connection, as_json: bool) -> None:
    """List your SSH keys."""
    list_objects(connection.open(), "me/keys", _KEY_COLUMNS, as_json)


@me.command("sessions")
@limit_option
@json_option
@pass_connection
def list_my_sessions(connection: Connection, limit: int, as_json: bool) -> None:
    """List your SSH sessions, the latest first."""
    list_objects(connection.open(), "me/sessions", _SESSION_COLUMNS, as_json, limit)


@me.command("token")
@click.option("--tunnel", metavar="TUNNEL", help="The only tunnel it opens.")
@click.option("--sessions", type=count, help="SSH sessions it opens, where its policy lets it.")
@json_option
@pass_connection
def make_my_token(
    connection: Connection, tunnel: str | None, sessions: int | None, as_json: bool
) -> None:
    """Create a one-time token for yourself; it isn't shown again."""
    api = connection.open()
    body: Object = {}
    if tunnel is not None:
        body["tunnel_id"] = own_tunnel_id(api, tunnel)
    if sessions is not None:
        body["sessions"] = sessions
    made = api.send("POST", "me/tokens", body)
    if as_json:
        print_json(made)
    else:
        show_new_token(made)

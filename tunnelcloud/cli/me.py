"""Commands for users with an API token of their own: their tunnels, tokens and keys."""

from __future__ import annotations

import click

from tunnelcloud.cli.client import Api, Object
from tunnelcloud.cli.credentials import show_new_token
from tunnelcloud.cli.crud import list_objects
from tunnelcloud.cli.object_options import Column
from tunnelcloud.cli.output import print_fields, print_json, shown, shown_time
from tunnelcloud.cli.own_tunnels import own_tunnel_id
from tunnelcloud.cli.parameters import count, limit_option, with_api
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
@with_api
def show_me(api: Api, as_json: bool) -> None:
    """Show the API token's user and role."""
    found = api.get("me")
    if as_json:
        print_json(found)
        return
    user = found.get("user") or {}
    fields = {"user": user.get("name"), "email": user.get("email"), "role": found["role"]}
    print_fields({name: shown(value) for name, value in fields.items()})


@me.command("tunnels")
@with_api
def list_my_tunnels(api: Api, as_json: bool) -> None:
    """List the tunnels you may open, and their commands."""
    list_objects(api, "me/tunnels", _TUNNEL_COLUMNS, as_json)


@me.command("keys")
@with_api
def list_my_keys(api: Api, as_json: bool) -> None:
    """List your SSH keys."""
    list_objects(api, "me/keys", _KEY_COLUMNS, as_json)


@me.command("sessions")
@limit_option
@with_api
def list_my_sessions(api: Api, limit: int, as_json: bool) -> None:
    """List your SSH sessions, the latest first."""
    list_objects(api, "me/sessions", _SESSION_COLUMNS, as_json, limit)


@me.command("token")
@click.option("--tunnel", metavar="TUNNEL", help="The only tunnel it opens.")
@click.option("--sessions", type=count, help="SSH sessions it opens, where its policy lets it.")
@with_api
def make_my_token(api: Api, tunnel: str | None, sessions: int | None, as_json: bool) -> None:
    """Create a one-time token for yourself; it isn't shown again."""
    body: Object = {}
    if tunnel is not None:
        body["tunnel_id"] = own_tunnel_id(api, tunnel)
    if sessions is not None:
        body["sessions"] = sessions
    show_new_token(api.send("POST", "me/tokens", body), as_json)

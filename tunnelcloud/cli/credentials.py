"""Commands for one-time tokens and API tokens."""

from __future__ import annotations

import click

from tunnelcloud.cli.client import Api, Object
from tunnelcloud.cli.crud import list_objects, warn_of
from tunnelcloud.cli.delete_by_id import add_ending
from tunnelcloud.cli.object_options import Column
from tunnelcloud.cli.output import print_fields, print_json, shown, shown_time
from tunnelcloud.cli.parameters import (
    ON_THIS_CLOCK,
    Connection,
    count,
    json_option,
    pass_connection,
    time,
    with_api,
)
from tunnelcloud.domain.objects.users import Role

_USER = Column("user", "user_id", refers="user")
_CREATED = Column("created", "created_at", shown_time)
_EXPIRES = Column("expires", "expires_at", shown_time)
_ID = Column("id", "id")
_TOKEN_COLUMNS = (
    _USER,
    Column("tunnel", "tunnel_id", refers="tunnel"),
    Column("sessions", "sessions"),
    Column("used", "used_at", shown_time),
    _EXPIRES,
    Column("revoked", "revoked_at", shown_time),
    _ID,
)


def _owner(value: object) -> str:
    """Show the owner of an API token that belongs to no user."""
    return "no user" if value is None else shown(value)


_API_TOKEN_COLUMNS = (
    Column("title", "title"),
    Column("role", "role"),
    Column("user", "user_id", show=_owner, refers="user"),
    Column("created by", "made_by"),
    _CREATED,
    _EXPIRES,
    Column("last used", "last_used_at", shown_time),
    _ID,
)


@click.group("token")
def token() -> None:
    """One-time tokens, each good for one SSH session."""


@token.command("create")
@click.argument("user")
@click.option("--tunnel", metavar="TUNNEL", help="The only tunnel it opens.")
@click.option(
    "--sessions", type=count, help="SSH sessions it opens, where the tunnel's policy lets it."
)
@with_api
def create_token(
    api: Api, user: str, tunnel: str | None, sessions: int | None, as_json: bool
) -> None:
    """Create a token, and print it with the ssh command that uses it.

    The token isn't shown again.
    """
    body: Object = {"user_id": api.resolve_id("user", user)}
    if tunnel is not None:
        body["tunnel_id"] = api.resolve_id("tunnel", tunnel)
    if sessions is not None:
        body["sessions"] = sessions
    show_new_token(api.send("POST", "tokens", body), as_json)


def show_new_token(made: Object, as_json: bool) -> None:
    """Print a new one-time token and how it is used."""
    if as_json:
        print_json(made)
        return
    print_fields(
        {
            "token": made["token"],
            "good until": shown_time(made["expires_at"]),
            "command": made["command"],
        }
    )
    warn_of(made)


@token.command("list")
@click.option("--user", metavar="USER", help="Only this user's.")
@click.option("--limit", type=count, default="50", show_default=True, help="Only the first ones.")
@with_api
def list_tokens(api: Api, user: str | None, limit: int, as_json: bool) -> None:
    """List tokens, without their secrets."""
    user_id = api.resolve_id("user", user) if user is not None else None
    list_objects(api, "tokens", _TOKEN_COLUMNS, as_json, limit, user_id=user_id)


add_ending(token, "revoke", "token", "tokens", "revoked", "Revoke a one-time token.")


@click.group("api-token")
def api_token() -> None:
    """Bearer tokens of the API."""


@api_token.command("create")
@click.option("--title", required=True, help="What it is for.")
@click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    required=True,
    help="What its bearer may do.",
)
@click.option("--user", metavar="USER", help="The user that the token acts for.")
@click.option("--expires", type=time, help=f"When it expires; {ON_THIS_CLOCK}.")
@json_option
@pass_connection
def create_api_token(
    connection: Connection,
    title: str,
    role: str,
    user: str | None,
    expires: str | None,
    as_json: bool,
) -> None:
    """Create an API token; it is shown this once."""
    if role == Role.USER and user is None:
        raise click.UsageError("--role user needs --user NAME: the token then acts as that user")
    api = connection.open()
    body: Object = {"title": title, "role": role}
    if user is not None:
        body["user_id"] = api.resolve_id("user", user)
    if expires is not None:
        body["expires_at"] = expires
    made = api.send("POST", "api-tokens", body)
    if as_json:
        print_json(made)
    else:
        print_fields({"API token": made["token"], "id": made["id"]})


@api_token.command("list")
@with_api
def list_api_tokens(api: Api, as_json: bool) -> None:
    """List API tokens, without their secrets."""
    list_objects(api, "api-tokens", _API_TOKEN_COLUMNS, as_json)


add_ending(api_token, "delete", "api_token", "api-tokens", "deleted", "Revoke an API token.")

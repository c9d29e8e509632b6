"""Commands to ask for an approval, to decide about requests, and for grants."""

from __future__ import annotations

import click

from tunnelcloud.cli.client import Api, Failed, Object, is_id
from tunnelcloud.cli.crud import list_objects
from tunnelcloud.cli.delete_by_id import add_ending
from tunnelcloud.cli.object_options import Column
from tunnelcloud.cli.output import one_line, print_json, shown_seconds, shown_time
from tunnelcloud.cli.own_tunnels import own_tunnel_id
from tunnelcloud.cli.parameters import duration, limit_option, with_api

_REQUEST_COLUMNS = (
    Column("id", "id"),
    Column("status", "status"),
    Column("user", "user_name"),
    Column("tunnel", "tunnel_name"),
    Column("for", "seconds", shown_seconds),
    Column("from", "source_ip", spare=True),
    Column("reason", "reason", spare=True),
    Column("asked", "created_at", shown_time),
    Column("decided by", "decided_by", spare=True),
)
_GRANT_COLUMNS = (
    Column("id", "id"),
    Column("user", "user_name"),
    Column("tunnel", "tunnel_name"),
    Column("until", "ends_at", shown_time),
    Column("ended", "ended_at", shown_time),
    Column("allowed by", "allowed_by"),
    Column("emergency", "emergency", lambda one: "yes" if one else ""),
    Column("reason", "reason", spare=True),
)


@click.group("request")
def request() -> None:
    """Requests to open tunnels that need an approval."""


@request.command("create")
@click.argument("tunnel")
@click.option("--for", "seconds", type=duration, help="How long, such as 2h.")
@click.option("--reason", default="", help="The reason, for the person who decides.")
@with_api
def create_request(api: Api, tunnel: str, seconds: int | None, reason: str, as_json: bool) -> None:
    """Ask for an approval before it is needed, or for more time before it ends."""
    made = api.send("POST", "requests", _asked(api, tunnel, seconds, reason))
    if as_json:
        print_json(made)
    else:
        what = "more time with " if made.get("renews_id") else ""
        text = f"asked for {what}{made['tunnel_name']}: {made['status']} ({made['id']})"
        click.echo(one_line(text))


def _asked(api: Api, tunnel: str, seconds: int | None, reason: str) -> Object:
    """Make the body of a request."""
    body: Object = {"tunnel_id": own_tunnel_id(api, tunnel), "reason": reason}
    return body if seconds is None else {**body, "seconds": seconds}


@request.command("list")
@limit_option
@with_api
def list_requests(api: Api, limit: int, as_json: bool) -> None:
    """List your requests and those that you may decide."""
    list_objects(api, "requests", _REQUEST_COLUMNS, as_json, limit)


def _decide(api: Api, verb: str, request_id: str, answer: str, as_json: bool) -> None:
    if not is_id("request", request_id):
        raise Failed(f"{request_id!r} is no id of a request; `tunnelcloud request list` shows them")
    made = api.send("POST", f"requests/{request_id}/{verb}", {"answer": answer})
    if as_json:
        print_json(made)
    elif verb == "approve":
        until = shown_time(made["ends_at"])
        text = f"{made['user_name']} may open {made['tunnel_name']} until {until}"
        click.echo(one_line(text))
    else:
        click.echo(one_line(f"refused {made['user_name']} {made['tunnel_name']}"))


def _add_decision(verb: str, text: str) -> None:
    @request.command(verb, help=text)
    @click.argument("request_id", metavar="ID")
    @click.option("--reason", "answer", default="", help="The answer for the user who asked.")
    @with_api
    def decide(api: Api, request_id: str, answer: str, as_json: bool) -> None:
        _decide(api, verb, request_id, answer, as_json)


_add_decision("approve", "Approve a request, which gives its user a grant for a time.")
_add_decision("refuse", "Refuse a request.")


@click.group("grant")
def grant() -> None:
    """Permissions for a time, by an approval or an emergency."""


@grant.command("list")
@limit_option
@with_api
def list_grants(api: Api, limit: int, as_json: bool) -> None:
    """List grants: yours and emergencies that you may review, or all for administrators."""
    list_objects(api, "grants", _GRANT_COLUMNS, as_json, limit)


@grant.command("emergency")
@click.argument("tunnel")
@click.option("--for", "seconds", type=duration, help="How long, such as 1h.")
@click.option("--reason", required=True, help="The reason; approvers and administrators see it.")
@with_api
def open_in_emergency(
    api: Api, tunnel: str, seconds: int | None, reason: str, as_json: bool
) -> None:
    """Open a tunnel without an approval, where its policy allows that; it is reviewed later."""
    made = api.send("POST", "grants", _asked(api, tunnel, seconds, reason))
    if as_json:
        print_json(made)
    else:
        until = shown_time(made["ends_at"])
        text = (
            f"you may open {made['tunnel_name']} until {until}; approvers are told, and review it"
        )
        click.echo(one_line(f"{text} ({made['id']})"))


@grant.command("review")
@click.argument("grant_id", metavar="ID")
@click.option("--note", "answer", default="", help="What you found, for the audit.")
@with_api
def review_emergency(api: Api, grant_id: str, answer: str, as_json: bool) -> None:
    """Record that you have reviewed an emergency of another user."""
    if not is_id("grant", grant_id):
        raise Failed(f"{grant_id!r} is no id of a grant; `tunnelcloud grant list` shows them")
    made = api.send("POST", f"grants/{grant_id}/review", {"answer": answer})
    if as_json:
        print_json(made)
    else:
        click.echo(one_line(f"reviewed what {made['user_name']} did with {made['tunnel_name']}"))


add_ending(
    grant,
    "end",
    "grant",
    "grants",
    "ended",
    "End a grant early; connections that only this grant allows are cut.",
)

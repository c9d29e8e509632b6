"""What is and was going on: sessions, their channels, pods, and the audit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click

from tunnelcloud.cli.client import Api, Failed, Object, Unreachable, is_id
from tunnelcloud.cli.crud import list_objects, report_done, show_object
from tunnelcloud.cli.objects import Column
from tunnelcloud.cli.output import (
    one_line,
    print_json,
    print_table,
    say,
    shown,
    shown_bytes,
    shown_rate,
    shown_time,
)
from tunnelcloud.cli.parameters import Connection, count, json_option, pass_connection, time
from tunnelcloud.domain.actors import ActorKind, actor_text
from tunnelcloud.domain.entities import place_of

_POLL_SECONDS = 1.0
_OVERLAP = timedelta(seconds=5)

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
_POD_COLUMNS = (
    Column("name", "name"),
    Column("version", "version"),
    Column("ssh", "ssh_address"),
    Column("connectors", "connectors_address"),
    Column("last seen", "last_seen_at", shown_time),
    Column("state", "state"),
)
_limit = click.option("--limit", type=count, default="50", show_default=True, help="How many.")


@click.group("session")
def session() -> None:
    """SSH connections that logged in, open and past."""


@session.command("list")
@click.option("--user", metavar="USER", help="Only this user's.")
@click.option("--live", is_flag=True, help="Only those that are open.")
@_limit
@json_option
@pass_connection
def list_sessions(
    connection: Connection, user: str | None, live: bool, limit: int, as_json: bool
) -> None:
    """List sessions, the latest first."""
    api = connection.open()
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
@json_option
@pass_connection
def show_session(connection: Connection, session_id: str, as_json: bool) -> None:
    """Show a session."""
    api = connection.open()
    found = api.get(_path(session_id))
    if as_json:
        print_json(found)
    else:
        show_object(api, _SESSION_COLUMNS, found)


@session.command("channels")
@click.argument("session_id", metavar="ID")
@json_option
@pass_connection
def list_channels(connection: Connection, session_id: str, as_json: bool) -> None:
    """List the forwarded connections of a session."""
    path = f"{_path(session_id)}/channels"
    list_objects(connection.open(), path, _CHANNEL_COLUMNS, as_json)


@session.command("end")
@click.argument("session_id", metavar="ID")
@json_option
@pass_connection
def end_session(connection: Connection, session_id: str, as_json: bool) -> None:
    """End a session, on whichever pod it is."""
    api, path = connection.open(), _path(session_id)
    over = api.get(path)["ended_at"]
    if over is not None:
        report_done(f"{session_id} was over already, at {shown_time(over)}", as_json)
        return
    api.send("DELETE", path)
    report_done(f"ended {session_id}", as_json)


@click.group("pod")
def pod() -> None:
    """The gateways."""


@pod.command("list")
@json_option
@pass_connection
def list_pods(connection: Connection, as_json: bool) -> None:
    """List the pods and where they are reached."""
    list_objects(connection.open(), "pods", _POD_COLUMNS, as_json)


def _pod_path(api: Api, wanted: str) -> str:
    pods, _ = api.pages("pods")
    for one in pods:
        if wanted in (one["name"], one["id"]):
            return f"pods/{one['id']}"
    raise Failed(f"there is no pod {wanted!r}; `tunnelcloud pod list` shows them")


@pod.command("drain")
@click.argument("name", metavar="NAME")
@json_option
@pass_connection
def drain_pod(connection: Connection, name: str, as_json: bool) -> None:
    """Have a pod let nothing new in.

    What is open goes on; new sessions and connections are told to come again. It takes effect on
    whichever pod it is, and ends with `pod resume` or when the pod starts again.
    """
    api = connection.open()
    api.send("POST", f"{_pod_path(api, name)}/drain")
    report_done(f"pod {name} is drained", as_json)


@pod.command("resume")
@click.argument("name", metavar="NAME")
@json_option
@pass_connection
def resume_pod(connection: Connection, name: str, as_json: bool) -> None:
    """Have a pod that was drained take new sessions again."""
    api = connection.open()
    api.send("POST", f"{_pod_path(api, name)}/resume")
    report_done(f"pod {name} takes new sessions again", as_json)


@pod.command("delete")
@click.argument("name", metavar="NAME")
@json_option
@pass_connection
def delete_pod(connection: Connection, name: str, as_json: bool) -> None:
    """Forget a pod that is gone for good; after a day that happens by itself."""
    api = connection.open()
    api.send("DELETE", _pod_path(api, name))
    report_done(f"deleted pod {name}", as_json)


@click.group("host-key")
def host_key() -> None:
    """What the pods' SSH servers prove themselves with."""


@host_key.command("list")
@json_option
@pass_connection
def list_host_keys(connection: Connection, as_json: bool) -> None:
    """List the host keys' fingerprints.

    They are to be compared with what ssh shows.
    """
    found = connection.open().get("host-keys")
    if as_json:
        print_json(found)
        return
    rows = ([key["algorithm"], key["fingerprint"]] for key in found["items"])
    print_table(["algorithm", "fingerprint"], rows)


@host_key.command("known-hosts")
@json_option
@pass_connection
def list_known_hosts(connection: Connection, as_json: bool) -> None:
    """Print lines for ~/.ssh/known_hosts.

    They are for every address that clients connect to.
    """
    keys = connection.open().get("host-keys")["items"]
    lines = [line for key in keys for line in key["known_hosts"]]
    if as_json:
        print_json(lines)
    else:
        for line in lines:
            click.echo(one_line(line))


@click.command("audit")
@click.option("--event", help="Only this kind, such as login.refused; login. is all of those.")
@click.option("--user", metavar="USER", help="Only what was done to or for this user.")
@click.option("--tunnel", metavar="TUNNEL", help="Only what concerns this tunnel.")
@click.option("--address", metavar="IP", help="Only what came from this address.")
@click.option("--since", type=time, help="Only from then on.")
@click.option("--until", type=time, help="Only before then.")
@click.option("--search", metavar="TEXT", help="Only what has this in a name or the details.")
@click.option("--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("--ecs", is_flag=True, help="All of it, the oldest first, as JSON lines in ECS.")
@_limit
@json_option
@pass_connection
def audit(
    connection: Connection,
    event: str | None,
    user: str | None,
    tunnel: str | None,
    address: str | None,
    since: str | None,
    until: str | None,
    search: str | None,
    follow: bool,
    ecs: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show what happened last, the latest at the bottom.

    With --json the API's list, the latest first; with --follow one event a line. With --ecs every
    event in the field names of the Elastic Common Schema. Users and tunnels that are gone are
    still found by their names.
    """
    if follow and (ecs or until is not None):
        raise click.UsageError("--follow goes with neither --ecs nor --until")
    api = connection.open()
    wanted: Object = {
        "event": event,
        **_meant(api, "user", user),
        **_meant(api, "tunnel", tunnel),
        "source_ip": address,
        "since": since,
        "until": until,
        "q": search,
    }
    if ecs:
        for line in api.lines("audit/export", **wanted):
            click.echo(line)
        return
    items, cursor = api.pages("audit", limit, **wanted)
    if as_json and not follow:
        print_json({"items": items, "next_cursor": cursor})
        return
    for item in reversed(items):
        _print_event(item, as_json)
    if not follow:
        return
    try:
        for item in _following(connection, api, wanted, items):
            _print_event(item, as_json)
    except KeyboardInterrupt:
        return


def _meant(api: Api, noun: str, name: str | None) -> Object:
    """Ask for what concerns an object, by its id; of one that is gone, by the name it had."""
    if name is None:
        return {}
    try:
        return {f"{noun}_id": api.resolve_id(noun, name)}
    except Unreachable:
        raise
    except Failed:
        return {f"{noun}_name": name}


def _following(
    connection: Connection, api: Api, wanted: Object, items: list[Object]
) -> Iterator[Object]:
    """Give what happens from now on, in order; a pod that is away is waited for.

    Events of different pods may be written in another order than their ids have, so each look
    goes back a little and leaves out what it has given.  Their times say nothing of their order:
    the clock may have gone back.
    """
    given = {item["id"] for item in items}
    away = False
    while True:
        connection.wait(_POLL_SECONDS)
        since = _shortly_before(max(given, default=None)) or wanted["since"]
        try:
            found, _ = api.pages("audit", order="oldest", **{**wanted, "since": since})
        except Unreachable as error:
            if not away:
                say(f"{error} (trying on)")
            away = True
            continue
        away = False
        for item in found:
            if item["id"] not in given:
                yield item
        given = {item["id"] for item in found} or given


def _shortly_before(event_id: str | None) -> str | None:
    if event_id is None:
        return None
    place = datetime.fromtimestamp(place_of(event_id)[0] / 1000, UTC)
    return (place - _OVERLAP).isoformat()


def _details(data: Object) -> str:
    """Say what an event tells beside who and where: names rather than ids, and what changed."""
    words = [shown(data["object_name"])] if data.get("object_name") else []
    words += [
        f"{name}={shown(value)}"
        for name, value in data.items()
        if name not in ("object_id", "object_name", "changes")
    ]
    for name, change in (data.get("changes") or {}).items():
        before, after = shown(change.get("from")), shown(change.get("to"))
        if before:
            words.append(f"{name}={before}->{after}")
        elif after:
            words.append(f"{name}={after}")
    return " ".join(words)


def _print_event(item: Object, as_json: bool) -> None:
    if as_json:
        print_json(item, indent=None)
        return
    kind = ActorKind(item.get("actor_kind", ActorKind.USER))
    actor = actor_text(kind, item.get("actor") or "")
    who = item.get("user_name") or item.get("user_id") or actor
    words = [
        shown_time(item["at"]),
        f"{item['event']:<24}",
        shown(who),
        shown(item.get("tunnel_name") or item.get("tunnel_id")),
        shown(item.get("source_ip")),
        _details(item.get("data") or {}),
        f"by {actor}" if actor and actor != who else "",
    ]
    click.echo(one_line("  ".join(word for word in words if word)))

"""Commands that show the audit's last events, and new ones as they happen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click

from tunnelcloud.cli.client import Api, Failed, Object, Unreachable
from tunnelcloud.cli.output import answer, print_json, quoted_text, say, shown, shown_time
from tunnelcloud.cli.parameters import (
    ON_THIS_CLOCK,
    Connection,
    json_option,
    limit_option,
    pass_connection,
    time,
)
from tunnelcloud.domain.actors import ActorKind, actor_text, as_chosen
from tunnelcloud.domain.entities import place_of

_POLL_SECONDS = 1.0
_OVERLAP = timedelta(seconds=5)


@click.command("audit")
@click.option("--event", help="Only this kind, such as login.refused; login. is all of those.")
@click.option("--user", metavar="USER", help="Only what was done to or for this user.")
@click.option("--tunnel", metavar="TUNNEL", help="Only what concerns this tunnel.")
@click.option("--address", metavar="IP", help="Only what came from this address.")
@click.option("--since", type=time, help=f"Only from then on; {ON_THIS_CLOCK}.")
@click.option("--until", type=time, help=f"Only before then; {ON_THIS_CLOCK}.")
@click.option("--search", metavar="TEXT", help="Only what has this in a name or the details.")
@click.option("--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("--ecs", is_flag=True, help="All events, the oldest first, as JSON lines in ECS.")
@limit_option
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
    """Show the last events, the latest at the bottom.

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
            click.echo(quoted_text(line))
        return
    items, cursor = api.pages("audit", limit, **wanted)
    if as_json and not follow:
        print_json({"items": items, "next_cursor": cursor})
        return
    for item in reversed(items):
        _print_event(item, as_json)
    if not follow:
        if not items:
            say("no event matches")
        return
    try:
        for item in _following(connection, api, wanted, items):
            _print_event(item, as_json)
    except KeyboardInterrupt:
        return


def _meant(api: Api, noun: str, name: str | None) -> Object:
    """Filter by an object's id; for a deleted one, by the name it had."""
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
    """Yield new events in order; wait for a pod that is away.

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
    """Return an event's details as text: names rather than ids, and what changed."""
    words = [shown(data["object_name"])] if data.get("object_name") else []
    words += [
        f"{name}={as_chosen(shown(value))}"
        for name, value in data.items()
        if name not in ("object_id", "object_name", "changes") and value not in ("", None)
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
    answer("  ".join(word for word in words if word))

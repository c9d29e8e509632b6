"""Commands for assignments, and ``explain``."""

from __future__ import annotations

import click

from tunnelcloud.cli.client import Api, Failed, Object
from tunnelcloud.cli.crud import list_objects, report_done
from tunnelcloud.cli.object_options import Column
from tunnelcloud.cli.output import one_line, print_json, print_table
from tunnelcloud.cli.parameters import ON_THIS_CLOCK, duration, time, with_api

METHODS = click.Choice(("token", "key"))
_COLUMNS = (
    Column("user", "user_id", refers="user"),
    Column("group", "group_id", refers="group"),
    Column("methods", "methods"),
    Column("policy", "policy_id", refers="policy"),
    Column("id", "id"),
)


def _entity(api: Api, user: str | None, group: str | None) -> Object:
    if user is not None and group is None:
        return {"user_id": api.resolve_id("user", user)}
    if group is not None and user is None:
        return {"group_id": api.resolve_id("group", group)}
    raise click.UsageError("give either --user or --group")


@click.command("assign")
@click.argument("tunnel")
@click.option("--user", metavar="USER", help="Who may open it.")
@click.option("--group", metavar="GROUP", help="Whose members may open it.")
@click.option(
    "--method",
    "methods",
    type=METHODS,
    multiple=True,
    required=True,
    help="How they may log in; given twice, by either of the two.",
)
@click.option("--policy", metavar="POLICY", help="The conditions that must hold.")
@with_api
def assign(
    api: Api,
    tunnel: str,
    user: str | None,
    group: str | None,
    methods: tuple[str, ...],
    policy: str | None,
    as_json: bool,
) -> None:
    """Let a user or a group open a tunnel.

    An assignment that is there already gets these methods, and the policy if one is given.
    """
    entity = _entity(api, user, group)
    body: Object = {"methods": list(dict.fromkeys(methods))}
    if policy is not None:
        body["policy_id"] = api.resolve_id("policy", policy)
    path = f"tunnels/{api.resolve_id('tunnel', tunnel)}/assignments"
    present = api.pages(path, limit=1, **entity)[0]
    if present:
        made = api.send("PATCH", f"{path}/{present[0]['id']}", body)
    else:
        made = api.send("POST", path, entity | body)
    if as_json:
        print_json(made)
    else:
        done = "changed how {} is assigned to {} ({})" if present else "assigned {} to {} ({})"
        click.echo(one_line(done.format(tunnel, user or group, made["id"])))


@click.command("unassign")
@click.argument("tunnel")
@click.option("--user", metavar="USER", help="Who may not open it any more.")
@click.option("--group", metavar="GROUP", help="Whose members may not open it any more.")
@with_api
def unassign(api: Api, tunnel: str, user: str | None, group: str | None, as_json: bool) -> None:
    """Remove an assignment of a user or a group.

    Connections that only it allowed are cut off.
    """
    [(field, wanted)] = _entity(api, user, group).items()
    path = f"tunnels/{api.resolve_id('tunnel', tunnel)}/assignments"
    found = [item["id"] for item in api.each(path) if item.get(field) == wanted]
    if not found:
        raise Failed(f"{tunnel} is not assigned to {user or group}")
    for assignment_id in found:
        api.send("DELETE", f"{path}/{assignment_id}")
    report_done(f"{tunnel} is no longer assigned to {user or group}", as_json)


@click.command("assignments")
@click.argument("tunnel")
@with_api
def assignments(api: Api, tunnel: str, as_json: bool) -> None:
    """List who may open a tunnel."""
    path = f"tunnels/{api.resolve_id('tunnel', tunnel)}/assignments"
    list_objects(api, path, _COLUMNS, as_json)


@click.command("explain")
@click.argument("user")
@click.argument("tunnel")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="The target's port; without it the first one."
)
@click.option(
    "--method", type=METHODS, default="token", show_default=True, help="The method to explain."
)
@click.option("--source-ip", help="The address the user connects from.")
@click.option("--at", type=time, help=f"When, if not now; {ON_THIS_CLOCK}.")
@click.option("--session-age", type=duration, help="The age of the session, such as 8h.")
@with_api
def explain(
    api: Api,
    user: str,
    tunnel: str,
    port: int | None,
    method: str,
    source_ip: str | None,
    at: str | None,
    session_age: int | None,
    as_json: bool,
) -> None:
    """Tell whether a user may open a tunnel, and why.

    Each rule that led to the answer is listed.
    The exit status is 0 whichever the answer is.
    """
    question = {
        "user": user,
        "tunnel": tunnel,
        "port": port,
        "method": method,
        "source_ip": source_ip,
        "at": at,
        "session_seconds": session_age,
    }
    asked = {key: value for key, value in question.items() if value is not None}
    answer = api.send("POST", "explain", asked)
    if as_json:
        print_json(answer)
        return
    verdict = "allowed" if answer["allowed"] else f"refused: {answer['reason']}"
    if answer.get("held"):  # pods of older versions don't say it
        verdict = f"held: {answer['reason']}"
    click.echo(one_line(verdict) + "\n")
    print_table(
        ("rule", "passed", "because"),
        (
            (rule["rule"], "yes" if rule["passed"] else "NO", rule["text"])
            for rule in answer["rules"]
        ),
    )

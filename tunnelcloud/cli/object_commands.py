"""The groups of commands on named objects, and the verbs that only some of them have."""

from __future__ import annotations

import click

from tunnelcloud.cli import object_options
from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.crud import commands_of, list_objects, print_list, report_done, show_join
from tunnelcloud.cli.output import (
    print_fields,
    print_json,
    print_table,
    shown,
    shown_milliseconds,
    shown_time,
)
from tunnelcloud.cli.parameters import Connection, count, json_option, pass_connection

site = commands_of(object_options.SITE)
connector = commands_of(object_options.CONNECTOR)
tunnel = commands_of(object_options.TUNNEL)
user = commands_of(object_options.USER)
group = commands_of(object_options.GROUP)
policy = commands_of(object_options.POLICY)
identity_provider = commands_of(object_options.IDENTITY_PROVIDER)


@connector.command("join-token")
@click.argument("name", metavar="CONNECTOR")
@json_option
@pass_connection
def join_token(connection: Connection, name: str, as_json: bool) -> None:
    """Create a new join token.

    It is for a connector whose first one was not used, or whose key is lost.
    """
    api = connection.open()
    connector_id = api.resolve_id("connector", name)
    made = api.send("POST", f"connectors/{connector_id}/join-token")
    if as_json:
        print_json(made)
    else:
        show_join(api.name_of("connector", connector_id), made)


@tunnel.command("check")
@click.argument("name", metavar="TUNNEL")
@click.option("--port", type=count, help="The target's port; without it the first one.")
@json_option
@pass_connection
def check(connection: Connection, name: str, port: int | None, as_json: bool) -> None:
    """Try every hop from the pod to a tunnel's target.

    The exit status is 1 when a hop fails.
    """
    api = connection.open()
    query = {} if port is None else {"port": str(port)}
    path = f"tunnels/{api.resolve_id('tunnel', name)}/check"
    found = api.send("POST", path, query=query)
    if as_json:
        print_json(found)
    else:
        print_table(("step", "passed", "took", "what"), [
            (step["name"], shown(step["ok"]), shown_milliseconds(step["milliseconds"]),
             f"{step['text']} ({step['warning']})" if step["warning"] else step["text"])
            for step in found["steps"]
        ])  # fmt: skip
    if not found["ok"]:
        raise Failed(f"{name} can't be reached: the last step failed")


@identity_provider.command("check")
@click.argument("name", metavar="IDENTITY-PROVIDER")
@json_option
@pass_connection
def check_provider(connection: Connection, name: str, as_json: bool) -> None:
    """Check that a provider gives everything that a sign-in needs.

    The sign-in page offers the provider once a check has succeeded.  The exit status is 1 if it
    fails.
    """
    api = connection.open()
    provider_id = api.resolve_id("identity-provider", name)
    found = api.send("POST", f"identity-providers/{provider_id}/check")
    if as_json:
        print_json(found)
    if found["check_fault"]:
        raise Failed(f"{name} can't be used: {found['check_fault']}")
    if not as_json:
        report_done(f"{name} answers as it should", as_json)


@user.command("invite")
@click.argument("name", metavar="USER")
@json_option
@pass_connection
def invite(connection: Connection, name: str, as_json: bool) -> None:
    """Create a link to the portal where a user sets a password.

    It works once.
    """
    api = connection.open()
    made = api.send("POST", f"users/{api.resolve_id('user', name)}/invitations")
    if as_json:
        print_json(made)
    else:
        print_fields({"url": shown(made["url"]), "good until": shown_time(made["expires_at"])})


_PROVIDER = click.option("--provider", required=True, help="The identity provider.")


@user.command("identities")
@click.argument("name", metavar="USER")
@json_option
@pass_connection
def identities(connection: Connection, name: str, as_json: bool) -> None:
    """List who a user is at identity providers."""
    api = connection.open()
    found = api.send("GET", f"users/{api.resolve_id('user', name)}/identities")
    print_list(api, found["items"], None, object_options.IDENTITY_COLUMNS, as_json)


@user.command("link")
@click.argument("name", metavar="USER")
@_PROVIDER
@click.option("--subject", required=True, help="What the provider calls them (its claim sub).")
@json_option
@pass_connection
def link(connection: Connection, name: str, provider: str, subject: str, as_json: bool) -> None:
    """Link somebody's account at an identity provider with a user."""
    api = connection.open()
    user_id = api.resolve_id("user", name)
    provider_id = api.resolve_id("identity-provider", provider)
    body = {"identity_provider_id": provider_id, "subject": subject}
    made = api.send("POST", f"users/{user_id}/identities", body)
    report_done(f"linked {name} with {subject} at {provider}", as_json, made)


@user.command("unlink")
@click.argument("name", metavar="USER")
@_PROVIDER
@json_option
@pass_connection
def unlink(connection: Connection, name: str, provider: str, as_json: bool) -> None:
    """Remove a user's link with an account at an identity provider.

    Sign-ins through it end.
    """
    api = connection.open()
    user_id = api.resolve_id("user", name)
    api.send(
        "DELETE",
        f"users/{user_id}/identities/{api.resolve_id('identity-provider', provider)}",
    )
    report_done(f"unlinked {name} from {provider}", as_json)


@user.command("reset-second-factor")
@click.argument("name", metavar="USER")
@json_option
@pass_connection
def reset_second_factor(connection: Connection, name: str, as_json: bool) -> None:
    """Remove the second factor of a user who lost it.

    The password alone signs in then.
    """
    api = connection.open()
    api.send("DELETE", f"users/{api.resolve_id('user', name)}/second-factor")
    report_done(f"removed the second factor of {name}", as_json)


def _set_blocked(connection: Connection, name: str, as_json: bool, blocked: bool) -> None:
    api = connection.open()
    path = f"users/{api.resolve_id('user', name)}"
    changed = api.send("PATCH", path, {"blocked": blocked})
    done = "blocked" if blocked else "unblocked"
    report_done(f"{done} user {changed['name']}", as_json, changed)


@user.command("block")
@click.argument("name", metavar="USER")
@json_option
@pass_connection
def block(connection: Connection, name: str, as_json: bool) -> None:
    """Block a user; their open sessions end."""
    _set_blocked(connection, name, as_json, True)


@user.command("unblock")
@click.argument("name", metavar="USER")
@json_option
@pass_connection
def unblock(connection: Connection, name: str, as_json: bool) -> None:
    """Unblock a user."""
    _set_blocked(connection, name, as_json, False)


def _change_member(
    connection: Connection, method: str, group_name: str, user_name: str, as_json: bool
) -> None:
    api = connection.open()
    group_id = api.resolve_id("group", group_name)
    answer = api.send(method, f"groups/{group_id}/members/{api.resolve_id('user', user_name)}")
    done = "added {} to {}" if method == "PUT" else "removed {} from {}"
    report_done(done.format(user_name, group_name), as_json, answer or None)


@group.command("add")
@click.argument("name", metavar="GROUP")
@click.argument("member", metavar="USER")
@json_option
@pass_connection
def add(connection: Connection, name: str, member: str, as_json: bool) -> None:
    """Add a user to a group."""
    _change_member(connection, "PUT", name, member, as_json)


@group.command("remove")
@click.argument("name", metavar="GROUP")
@click.argument("member", metavar="USER")
@json_option
@pass_connection
def remove(connection: Connection, name: str, member: str, as_json: bool) -> None:
    """Remove a user from a group."""
    _change_member(connection, "DELETE", name, member, as_json)


@group.command("members")
@click.argument("name", metavar="GROUP")
@json_option
@pass_connection
def members(connection: Connection, name: str, as_json: bool) -> None:
    """List the users of a group."""
    api = connection.open()
    group_id = api.resolve_id("group", name)
    list_objects(api, "users", object_options.USER.columns, as_json, group_id=group_id)

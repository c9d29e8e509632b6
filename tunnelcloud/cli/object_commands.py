"""The groups of commands on named objects, and the verbs that only some of them have."""

from __future__ import annotations

import click

from tunnelcloud.cli import object_options
from tunnelcloud.cli.client import Api, Failed
from tunnelcloud.cli.crud import commands_of, list_objects, print_list, report_done, show_join
from tunnelcloud.cli.output import (
    print_fields,
    print_json,
    print_table,
    shown,
    shown_milliseconds,
    shown_time,
)
from tunnelcloud.cli.parameters import count, with_api

site = commands_of(object_options.SITE)
connector = commands_of(object_options.CONNECTOR)
tunnel = commands_of(object_options.TUNNEL)
user = commands_of(object_options.USER)
group = commands_of(object_options.GROUP)
policy = commands_of(object_options.POLICY)
identity_provider = commands_of(object_options.IDENTITY_PROVIDER)


@connector.command("join-token")
@click.argument("name", metavar="CONNECTOR")
@with_api
def join_token(api: Api, name: str, as_json: bool) -> None:
    """Create a new join token.

    It is for a connector whose first one was not used, or whose key is lost.
    """
    connector_id = api.resolve_id("connector", name)
    made = api.send("POST", f"connectors/{connector_id}/join-token")
    if as_json:
        print_json(made)
    else:
        show_join(api.name_of("connector", connector_id), made)


@tunnel.command("check")
@click.argument("name", metavar="TUNNEL")
@click.option("--port", type=count, help="The target's port; without it the first one.")
@with_api
def check(api: Api, name: str, port: int | None, as_json: bool) -> None:
    """Try every hop from the pod to a tunnel's target.

    The exit status is 1 when a hop fails.
    """
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
@with_api
def check_provider(api: Api, name: str, as_json: bool) -> None:
    """Check that a provider gives everything that a sign-in needs.

    The sign-in page offers the provider once a check has succeeded.  The exit status is 1 if it
    fails.
    """
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
@with_api
def invite(api: Api, name: str, as_json: bool) -> None:
    """Create a link to the portal where a user sets a password.

    It works once.
    """
    made = api.send("POST", f"users/{api.resolve_id('user', name)}/invitations")
    if as_json:
        print_json(made)
    else:
        print_fields({"url": shown(made["url"]), "good until": shown_time(made["expires_at"])})


_PROVIDER = click.option("--provider", required=True, help="The identity provider.")


@user.command("identities")
@click.argument("name", metavar="USER")
@with_api
def identities(api: Api, name: str, as_json: bool) -> None:
    """List who a user is at identity providers."""
    found = api.send("GET", f"users/{api.resolve_id('user', name)}/identities")
    print_list(api, found["items"], None, object_options.IDENTITY_COLUMNS, as_json)


@user.command("link")
@click.argument("name", metavar="USER")
@_PROVIDER
@click.option("--subject", required=True, help="What the provider calls them (its claim sub).")
@with_api
def link(api: Api, name: str, provider: str, subject: str, as_json: bool) -> None:
    """Link somebody's account at an identity provider with a user."""
    user_id = api.resolve_id("user", name)
    provider_id = api.resolve_id("identity-provider", provider)
    body = {"identity_provider_id": provider_id, "subject": subject}
    made = api.send("POST", f"users/{user_id}/identities", body)
    report_done(f"linked {name} with {subject} at {provider}", as_json, made)


@user.command("unlink")
@click.argument("name", metavar="USER")
@_PROVIDER
@with_api
def unlink(api: Api, name: str, provider: str, as_json: bool) -> None:
    """Remove a user's link with an account at an identity provider.

    Sign-ins through it end.
    """
    user_id = api.resolve_id("user", name)
    api.send(
        "DELETE",
        f"users/{user_id}/identities/{api.resolve_id('identity-provider', provider)}",
    )
    report_done(f"unlinked {name} from {provider}", as_json)


@user.command("reset-second-factor")
@click.argument("name", metavar="USER")
@with_api
def reset_second_factor(api: Api, name: str, as_json: bool) -> None:
    """Remove the second factor of a user who lost it.

    The password alone signs in then.
    """
    api.send("DELETE", f"users/{api.resolve_id('user', name)}/second-factor")
    report_done(f"removed the second factor of {name}", as_json)


def _set_blocked(api: Api, name: str, as_json: bool, blocked: bool) -> None:
    path = f"users/{api.resolve_id('user', name)}"
    changed = api.send("PATCH", path, {"blocked": blocked})
    done = "blocked" if blocked else "unblocked"
    report_done(f"{done} user {changed['name']}", as_json, changed)


@user.command("block")
@click.argument("name", metavar="USER")
@with_api
def block(api: Api, name: str, as_json: bool) -> None:
    """Block a user; their open sessions end."""
    _set_blocked(api, name, as_json, True)


@user.command("unblock")
@click.argument("name", metavar="USER")
@with_api
def unblock(api: Api, name: str, as_json: bool) -> None:
    """Unblock a user."""
    _set_blocked(api, name, as_json, False)


def _change_member(api: Api, method: str, group_name: str, user_name: str, as_json: bool) -> None:
    group_id = api.resolve_id("group", group_name)
    answer = api.send(method, f"groups/{group_id}/members/{api.resolve_id('user', user_name)}")
    done = "added {} to {}" if method == "PUT" else "removed {} from {}"
    report_done(done.format(user_name, group_name), as_json, answer or None)


@group.command("add")
@click.argument("name", metavar="GROUP")
@click.argument("member", metavar="USER")
@with_api
def add(api: Api, name: str, member: str, as_json: bool) -> None:
    """Add a user to a group."""
    _change_member(api, "PUT", name, member, as_json)


@group.command("remove")
@click.argument("name", metavar="GROUP")
@click.argument("member", metavar="USER")
@with_api
def remove(api: Api, name: str, member: str, as_json: bool) -> None:
    """Remove a user from a group."""
    _change_member(api, "DELETE", name, member, as_json)


@group.command("members")
@click.argument("name", metavar="GROUP")
@with_api
def members(api: Api, name: str, as_json: bool) -> None:
    """List the users of a group."""
    group_id = api.resolve_id("group", name)
    list_objects(api, "users", object_options.USER.columns, as_json, group_id=group_id)

"""Commands that sign a terminal in and out; a person confirms it in a browser on any machine."""

from __future__ import annotations

import os
import socket

import click

from tunnelcloud import __version__
from tunnelcloud.cli.client import Api, Failed
from tunnelcloud.cli.crud import report_done
from tunnelcloud.cli.output import one_line, say
from tunnelcloud.cli.parameters import (
    TOKEN_VARIABLE,
    URL_VARIABLE,
    Connection,
    json_option,
    pass_connection,
)
from tunnelcloud.cli.saved_logins import SavedLogin, forget_login, keep_login, logins_path

_LONGEST_INTERVAL = 30


@click.command("login")
@json_option
@pass_connection
def login(connection: Connection, as_json: bool) -> None:
    """Sign in with a code that you type at the portal.

    The browser may be on any machine.
    """
    logins_path()  # It fails where nobody could keep the sign-in.
    api = connection.open_anonymously()
    begun = api.send("POST", "device-logins", {"client": _client()})
    say(f"Open {begun['verification_url']} in a browser, and type this code there:")
    click.echo(f"\n    {one_line(begun['user_code'])}\n", err=True)
    found = _wait(connection, api, begun["device_code"], begun["interval"], begun["expires_in"])
    keep_login(SavedLogin(connection.address, str(found["token"]), str(found["user"])))
    signed_in = {"url": connection.address, "user": found["user"]}
    report_done(f"signed in to {connection.address} as {found['user']}", as_json, signed_in)
    _warn_of_overrides(connection, f"to act as {one_line(str(found['user']))}")


def _warn_of_overrides(connection: Connection, why: str) -> None:
    """Warn about variables that override the sign-in that is kept here."""
    if connection.token_file is None and connection.override:
        say(f"warning: {TOKEN_VARIABLE} is set, and goes before this sign-in: unset it {why}")
    url = os.environ.get(URL_VARIABLE, "").rstrip("/")
    if url and url != connection.address:
        say(
            f"warning: {URL_VARIABLE} is {one_line(url)}, where the next command goes without"
            " --url: unset it, or set it to this address"
        )


def _wait(
    connection: Connection, api: Api, device_code: str, interval: int, seconds: int
) -> dict[str, object]:
    waited = 0
    while waited <= seconds:
        connection.wait(interval)
        waited += interval
        found = api.send("POST", "device-logins/token", {"device_code": device_code})
        if found["status"] == "allowed":
            return found
        if found["status"] == "denied":
            raise Failed("the sign-in was refused at the portal")
        if found["status"] == "too_soon":
            interval = min(interval + 5, _LONGEST_INTERVAL)
        elif found["status"] != "pending":
            break
    raise Failed("nobody typed the code in time: run the command again")


def _client() -> str:
    return f"tunnelcloud {__version__} on {socket.gethostname()}"[:100]


@click.command("logout")
@json_option
@pass_connection
def logout(connection: Connection, as_json: bool) -> None:
    """Sign out; the token that `login` got stops working."""
    kept = connection.kept
    if kept is None:
        raise Failed(f"you are not signed in to {connection.address}")
    try:
        Api(kept.url, kept.token).send("DELETE", "me/api-token")
    except Failed as error:
        # A token that is over already is none to give back.
        if "unknown or has expired" not in str(error):
            raise
    forget_login(kept.url)
    report_done(f"signed out of {kept.url}", as_json)
    if connection.token_file is None and connection.override:
        say(f"warning: {TOKEN_VARIABLE} is set, and the next command uses it")

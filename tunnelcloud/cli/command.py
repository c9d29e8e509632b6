"""The root of the command line: its options, its commands, and how failures end it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import click

from tunnelcloud import __version__
from tunnelcloud.cli import access, connect, credentials, documents, login, sessions
from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.keys import key
from tunnelcloud.cli.me import list_my_tunnels, me
from tunnelcloud.cli.nouns import NOUNS
from tunnelcloud.cli.output import one_line
from tunnelcloud.cli.parameters import DEFAULT_URL, Connection


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """Run a command; whatever it can't do becomes one line and exit status 1."""
        try:
            return super().invoke(ctx)
        except Failed as error:
            raise click.ClickException(one_line(str(error))) from error
        except KeyError as error:
            raise click.ClickException(
                f"the API's answer has no {error}: the pod may be of another version"
            ) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise click.ClickException(one_line(str(error))) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--url",
    envvar="TUNNELCLOUD_URL",
    show_envvar=True,
    help=f"Where the pod's web address is; else where you signed in last, or {DEFAULT_URL}.",
)
@click.option(
    "--api-token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that holds the API token; else TUNNELCLOUD_API_TOKEN is the token.",
)
@click.version_option(__version__, prog_name="tunnelcloud")
@click.pass_context
def main(ctx: click.Context, url: str | None, api_token_file: Path | None) -> None:
    """Open tunnels, and administer TunnelCloud, through its API.

    Names and ids serve alike. Every command takes --json at its end. The exit status is 0 when it
    worked, 1 when it failed and 2 when the command line is wrong.
    """
    token = os.environ.get("TUNNELCLOUD_API_TOKEN")
    ctx.obj = Connection(url, token, api_token_file)


for _command in (
    *NOUNS,
    key,
    *credentials.COMMANDS,
    *access.COMMANDS,
    *documents.COMMANDS,
    *sessions.COMMANDS,
    *login.COMMANDS,
    *connect.COMMANDS,
    me,
):
    main.add_command(_command)
main.add_command(list_my_tunnels, "ls")

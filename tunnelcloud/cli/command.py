"""The root of the command line: its options, its commands, and how failures end it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tunnelcloud import __version__
from tunnelcloud.cli.commands import COMMANDS, DEFAULT_URL


class _Commands(click.Group):
    """Loads a command when it is needed; the list of commands loads none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names, in the order of the help text."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        place = COMMANDS.get(cmd_name)
        return None if place is None else place.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their lines of help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; a failure becomes one line and exit status 1."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from tunnelcloud.cli.failures import line_for

            line = line_for(error)
            if line is None:
                raise
            raise click.ClickException(line) from error


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
    from tunnelcloud.cli.output import show_all_characters
    from tunnelcloud.cli.parameters import Connection

    show_all_characters()
    token = os.environ.get("TUNNELCLOUD_API_TOKEN")
    ctx.obj = Connection(url, token, api_token_file)

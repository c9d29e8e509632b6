"""Commands that open tunnels from a terminal, and that write blocks for ``~/.ssh/config``."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import signal
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from attrs import frozen

from tunnelcloud.cli.access import METHODS
from tunnelcloud.cli.child_processes import Command
from tunnelcloud.cli.client import Api, Failed
from tunnelcloud.cli.connect_many import Manner, keep_open, on_own_addresses, own_token, unit_words
from tunnelcloud.cli.hosts_file import HOSTS
from tunnelcloud.cli.local_ports import check_free, free_port, is_free
from tunnelcloud.cli.open_tunnels import Wanted, targets_here
from tunnelcloud.cli.output import print_json, say
from tunnelcloud.cli.own_tunnels import Tunnels
from tunnelcloud.cli.parameters import Connection, json_option, pass_connection, with_api
from tunnelcloud.cli.ssh_process import SshProcess
from tunnelcloud.domain.connecting.files import all_blocks, config_block, unit_of_connect
from tunnelcloud.domain.connecting.way import Forward, Way
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.names import is_name
from tunnelcloud.domain.ssh_command import MAX_FORWARDS_OF_A_RANGE, bracketed

_KEY_FILE = click.option(
    "--key-file", default="", help="The private key, if ssh is not to look for it by itself."
)
_ENDED_BY_SIGNAL = 128


def local(text: str) -> tuple[str, int]:
    """Read ``15432`` or ``127.0.0.1:15432`` or ``[::1]:15432``.

    :raise click.BadParameter: with what is allowed.
    """
    match = re.fullmatch(r"(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?([0-9]{1,5})", text)
    try:
        address = str(ipaddress.ip_address((match[1] or "127.0.0.1").strip("[]"))) if match else ""
    except ValueError:
        address = ""
    if match is None or not address or not 1 <= int(match[2]) <= 65535:
        raise click.BadParameter(f"{text!r}: use 15432, 127.0.0.1:15432 or [::1]:15432")
    return address, int(match[2])


@frozen
class One:
    """One tunnel that is to be open.

    :ivar local: the local address and port; None for a free port.
    :ivar port: the target's port; None for the first one.
    """

    tunnel: str
    local: tuple[str, int] | None
    port: int | None
    method: str | None
    key_file: str


def _own_tunnels(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a tunnel of one's own; nothing when the pod can't be asked.

    A shell puts what it is offered into the line as it is, so only what is a name is offered.
    """
    root = ctx.find_root().params
    token = os.environ.get("TUNNELCLOUD_API_TOKEN")
    connection = Connection(root.get("url"), token, root.get("api_token_file"))
    try:
        with ctx.scope():
            names = [str(item["name"]) for item in connection.open().each("me/tunnels")]
    except (Failed, click.UsageError, KeyError):
        return []
    return [name for name in names if name.startswith(incomplete) and is_name(name)]


@click.command("connect")
@click.argument("names", metavar="TUNNEL...", nargs=-1, shell_complete=_own_tunnels)
@click.option("--all", "all_of_them", is_flag=True, help="Open all tunnels, those included that "
              "are assigned later.")  # fmt: skip
@click.option("--local", "chosen", type=local, metavar="[ADDRESS:]PORT",
              help="Where it is on this machine; the next free port, if not given.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), help="The target's port that --local and "
              "--exec mean; the first one, if not given.")  # fmt: skip
@click.option("--method", type=METHODS, help="A token, if not given and one opens it.")
@_KEY_FILE
@click.option("--exec", "command", metavar="COMMAND", help="Run this while the tunnel is open; "
              "{host} and {port} become its local address.")  # fmt: skip
@click.option("--hosts", "names_hosts", is_flag=True, help="For several tunnels: write their "
              f"names, such as db.tunnel, to {HOSTS} for as long as they are open.")  # fmt: skip
@click.option("--hosts-file", type=click.Path(dir_okay=False, path_type=Path),
              help=f"Write them to this file instead of {HOSTS}.")  # fmt: skip
@click.option("--detach", is_flag=True, help="For several tunnels: go on in the background once "
              "they are open; `tunnelcloud stop` ends them.")  # fmt: skip
@click.option("--unit", "writes_unit", is_flag=True, help="Print a unit for your own systemd that "
              "keeps them open, and open nothing.")  # fmt: skip
@json_option
@pass_connection
def connect(
    connection: Connection,
    names: tuple[str, ...],
    all_of_them: bool,
    chosen: tuple[str, int] | None,
    port: int | None,
    method: str | None,
    key_file: str,
    command: str | None,
    names_hosts: bool,
    hosts_file: Path | None,
    detach: bool,
    writes_unit: bool,
    as_json: bool,
) -> None:
    """Open tunnels with this machine's ssh.

    One tunnel stays open until Ctrl-C, or until --exec's command ends.  The exit status is that of
    the command, or of ssh.  If the tunnel is shut now, the reason is printed, and the exit status
    is 1.

    Several tunnels, or --all, stay open until Ctrl-C: a connection that ends is made again, and a
    table shows each tunnel's address on this machine and its state.  The same goes for one tunnel
    with --hosts or --detach.
    """
    if all_of_them == bool(names):
        both = ", and not both" if names else ""
        raise click.UsageError(f"name the tunnels to open, or use --all{both}")
    if key_file and method == Method.TOKEN:
        raise click.UsageError("--key-file is for --method key: a token needs no key")
    manner = Manner(as_json, hosts_file or (HOSTS if names_hosts else None), detach)
    if all_of_them or len(names) > 1 or manner.hosts is not None or detach or writes_unit:
        _refuse_for_several(chosen=chosen, port=port, command=command)
        wanted = Wanted(names, method, key_file)
        if writes_unit:
            click.echo(unit_of_connect(unit_words(connection, wanted, manner)), nl=False)
            return
        _end_on_signals()
        keep_open(connection.open(), connection.address, wanted, manner)
        return
    way = method or (Method.KEY if key_file else None)
    one = One(names[0], chosen, port, way, key_file)
    click.get_current_context().exit(_open_one(connection.open(), one, command, as_json))


def _open_one(api: Api, one: One, command: str | None, as_json: bool) -> int:
    """Open one tunnel until Ctrl-C, or for a command; give the exit status."""
    tunnels = Tunnels(api)
    way = _place(tunnels, one)
    if warning := tunnels.check_open(one.tunnel):
        say(f"warning: {warning}")
    token = own_token(api, way.tunnel.id) if way.method is Method.TOKEN else None
    wanted = _forward_of(way, one.port)
    _end_on_signals()
    ssh = SshProcess(way.arguments(), way.own_known_hosts, token)
    try:
        ssh.wait_until_ready()
        _check_listening(way)
        _tell(way, as_json)
        if command is None:
            say("Ctrl-C ends it")
            status = ssh.wait()
        else:
            status = _run(command, way.local_address, wanted.local, ssh)
    except KeyboardInterrupt:
        status = 0 if command is None else _ENDED_BY_SIGNAL + signal.SIGINT
    finally:
        ssh.end()
    return status


def _refuse_for_several(
    *, chosen: tuple[str, int] | None, port: int | None, command: str | None
) -> None:
    """Refuse the options that need one tunnel.

    :raise click.UsageError: one is given.
    """
    for option, value in (("--local", chosen), ("--port", port), ("--exec", command)):
        if value is not None:
            raise click.UsageError(f"{option} is for one tunnel, without --hosts and --detach")


def _tell(way: Way, as_json: bool) -> None:
    """Say where the tunnel is on this machine."""
    if as_json:
        forwards = [
            {"port": one.port, "local_address": way.local_address, "local_port": one.local}
            for one in way.forwards
        ]
        print_json({"tunnel": way.tunnel.name, "forwards": forwards}, indent=None)
        return
    for one in way.forwards:
        at = f"{bracketed(way.local_address)}:{one.local}"
        say(f"{way.tunnel.name} port {one.port} is at {at}")
    if len(way.forwards) < sum(len(ports) for ports in way.tunnel.target_ports):
        say(f"of each range the first {MAX_FORWARDS_OF_A_RANGE} are open; --port opens another")


def _place(tunnels: Tunnels, wanted: One) -> Way:
    """Find a local port for each of the tunnel's: those chosen, else free ones."""
    way = partial(
        tunnels.way,
        wanted.tunnel,
        method=wanted.method,
        key_file=wanted.key_file,
        port=wanted.port,
    )
    plain, chosen = way(), wanted.local
    address = plain.local_address if chosen is None else chosen[0]
    places: dict[int, int] = {}
    avoided = targets_here(plain)
    if chosen is not None:
        check_free(*chosen)
        places[_forward_of(plain, wanted.port).port] = chosen[1]
    for forward in plain.forwards:
        if forward.port not in places:
            places[forward.port] = free_port(address, forward.local, avoided.union(places.values()))
    return way(local_address=address, local_ports=places)


def _forward_of(way: Way, port: int | None) -> Forward:
    """Give the forward of a target port, or the first one."""
    return next(one for one in way.forwards if port in (None, one.port))


def _check_listening(way: Way) -> None:
    """Check that ssh listens on every local port before a command uses them.

    :raise Failed: one isn't; ssh said why itself.
    """
    for forward in way.forwards:
        if is_free(way.local_address, forward.local):
            at = f"{bracketed(way.local_address)}:{forward.local}"
            raise Failed(f"ssh could not listen at {at}: choose another --local")


def _run(line: str, host: str, port: int, ssh: SshProcess) -> int:
    """Run a command line of the user's; give its exit status as a shell would."""
    line = line.replace("{host}", shlex.quote(host)).replace("{port}", str(port))
    command = Command(line, ssh.guard)
    try:
        status = command.wait()
    finally:
        command.end()
    return status if status >= 0 else _ENDED_BY_SIGNAL - status


def _end_on_signals() -> None:
    def end(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(_ENDED_BY_SIGNAL + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


@click.command("ssh-config")
@click.argument("tunnels", nargs=-1, shell_complete=_own_tunnels)
@click.option("--method", type=METHODS, help="A token, if not given and one opens it.")
@_KEY_FILE
@click.option("--known-hosts", is_flag=True, help="The lines for ~/.ssh/known_hosts instead.")
@with_api
def ssh_config(
    api: Api,
    tunnels: tuple[str, ...],
    method: str | None,
    key_file: str,
    known_hosts: bool,
    as_json: bool,
) -> None:
    """Print blocks for ~/.ssh/config.

    They are of all your tunnels, or of those named. `ssh -N db.tunnel` then opens the tunnel db,
    and `ssh -N all.tunnel` all of them.
    """
    found = Tunnels(api)
    ways = [found.way(name, method=method, key_file=key_file) for name in tunnels or found.names]
    blocks = [config_block(way) for way in ways]
    blocks += [] if tunnels else all_blocks(on_own_addresses(found, ways))
    lines = list(dict.fromkeys(line for way in ways for line in way.own_known_hosts))
    if as_json:
        print_json({"blocks": blocks, "known_hosts": lines})
    else:
        click.echo("\n".join(lines) if known_hosts else "\n\n".join(blocks))

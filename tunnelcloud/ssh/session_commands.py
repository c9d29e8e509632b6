"""What a session channel is asked to run, read from what the client sent; pure.

The gateway runs no programs.  Besides its own commands it knows those that people give ``ssh -f``
to hold a session open while they forward something, as ssh(1) itself shows.
"""

import math
import re
import shlex
from typing import Literal

from attrs import frozen

from tunnelcloud.domain.durations import SECONDS
from tunnelcloud.net.escaping import escape

USAGE = """usage: ssh POD                          your tunnels, and their traffic until Ctrl-C
       ssh POD ls [--json]              your tunnels
       ssh POD doctor TUNNEL [--json]   check the way to a tunnel, hop by hop
       ssh POD sleep SECONDS            hold the session open (so does cat, until its input ends)
"""
EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_UNKNOWN, EXIT_INTERRUPTED = 0, 1, 2, 127, 130
_LONGEST_COMMAND = 1024
_LONGEST_SLEEP = 10 * 365 * 86400.0
_PERIOD = re.compile(r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})([smhd]?)")
_SECONDS = {"": 1, **SECONDS}
_USAGES = {
    "ls": "usage: ls [--json]",
    "doctor": "usage: doctor TUNNEL [--json]",
    "sleep": "usage: sleep SECONDS, or with a unit: 90s, 5m, 8h, 1d, infinity",
}
_COPIERS = {"sftp": "sftp", "sftp-server": "sftp", "internal-sftp": "sftp", "scp": "scp"}


@frozen
class Show:
    """Show something: the live view, the list, or how to use this."""

    what: Literal["live", "list", "usage"]
    as_json: bool = False


@frozen
class Check:
    """Check the way to a tunnel."""

    tunnel: str
    as_json: bool


@frozen
class Hold:
    """Hold the session open.

    :ivar seconds: for how long; None until the client's input ends, which is sent back (``cat``).
    """

    seconds: float | None


@frozen
class Refused:
    """Run nothing, and say why in one line on standard error."""

    line: str
    status: int = EXIT_UNKNOWN


Command = Show | Check | Hold | Refused


def read_command(command: bytes, jump: str) -> Command:
    """Read the command of an ``exec`` request; empty is a shell.

    :param jump: what ``ssh -J`` takes to come through here.
    """
    try:
        words = shlex.split(command[:_LONGEST_COMMAND].decode("utf-8", "backslashreplace"))
    except ValueError:
        return Refused("this command can't be read: a quote is missing")
    if words[:1] == ["exec"]:
        words = words[1:]
    as_json = "--json" in words
    match [word for word in words if word != "--json"]:
        case [] if not as_json:
            return Show("live")
        case ["ls"]:
            return Show("list", as_json)
        case ["help" | "--help" | "-h"]:
            return Show("usage")
        case ["doctor", tunnel]:
            return Check(tunnel, as_json)
        case ["sleep", *periods]:
            seconds = _seconds(periods)
            return Refused(_USAGES["sleep"], EXIT_USAGE) if seconds is None else Hold(seconds)
        case ["ls" | "doctor" as name, *_]:
            return Refused(_USAGES[name], EXIT_USAGE)
        case ["true" | ":", *_]:
            return Hold(0)
        case ["cat"] | ["cat", "-"]:
            return Hold(None)
    return Refused(_refusal(words, jump))


def misses_an_end(client_version: str) -> bool:
    """Tell whether a client, by its identification, waits on after a subsystem's end.

    libssh2 does so always, and libssh 0.10 now and then; neither shows standard error.
    """
    return client_version.startswith(("libssh2_", "libssh_"))


def refused_subsystem(name: bytes, jump: str) -> Refused:
    """Refuse a subsystem as if it were a program; ``sftp`` shows what that says, and ends."""
    return Refused(_refusal([name.decode("utf-8", "backslashreplace")], jump))


def _seconds(periods: list[str]) -> float | None:
    """Read what ``sleep`` takes: numbers with s, m, h or d, added up, or ``infinity``."""
    total = 0.0
    for period in periods:
        match = _PERIOD.fullmatch(period)
        if match is not None:
            total += float(match[1]) * _SECONDS[match[2]]
        elif period in ("inf", "infinity"):
            total = math.inf
        else:
            return None
    return min(total, _LONGEST_SLEEP) if periods else None


def _refusal(words: list[str], jump: str) -> str:
    """Say that this is a gateway, and how to come to the server behind it."""
    name = words[0].rpartition("/")[2] if words else ""
    tool = _COPIERS.get(name, "ssh")
    way = f"{tool} -J {shlex.quote(jump)} USER@SERVER"
    if name == "rsync":
        way = f"rsync -e {shlex.quote(f'ssh -J {shlex.quote(jump)}')}"
    return f"{escape(name, 32)}: this is a gateway and runs no programs; use {way}"

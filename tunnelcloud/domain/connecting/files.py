"""Texts to paste into a file or to keep as one, beside the plain ssh command."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tunnelcloud.domain.connecting.quoting import ssh_config, systemd
from tunnelcloud.domain.connecting.way import KEEP_ALIVE_SECONDS, Way
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.ssh_command import bracketed

DEFAULT_KEY_FILE = "~/.ssh/id_ed25519"
MASTER_MINUTES = 10
_ALL = "all.tunnel"
_ALL_KEYS = "all-keys.tunnel"


def config_alias(way: Way) -> str:
    """Name the tunnel in ``~/.ssh/config``: a name that no real host has."""
    return f"{way.tunnel.name}.tunnel"


def config_block(way: Way, *, windows: bool = False) -> str:
    """Write the block for ``~/.ssh/config``.

    A token opens one session: where there are control sockets (not on Windows) that session is
    kept and shared by whatever else connects to the same name.  Other blocks of the user's may say
    otherwise about what is set here, as the first value of a file counts: this one belongs before.
    """
    lines = _connection_lines(way, way.host, windows=windows)
    lines += [("ExitOnForwardFailure", "yes"), ("ServerAliveInterval", str(KEEP_ALIVE_SECONDS))]
    return _block(config_alias(way), [*lines, *_forward_lines(way)])


def all_blocks(ways: Sequence[Way]) -> list[str]:
    """Write the blocks that open several tunnels at once, one for each method of logging in.

    A port that is in use and a tunnel that is shut leave the others alone.
    """
    taken = {config_alias(way) for way in ways}
    blocks: list[str] = []
    for method in (Method.TOKEN, Method.KEY):
        together = [way for way in ways if way.method is method]
        if together:
            alias = _ALL_KEYS if blocks else _ALL
            lines = _connection_lines(together[0], together[0].pod.host, windows=False)
            lines += [
                ("ExitOnForwardFailure", "no"),
                ("ServerAliveInterval", str(KEEP_ALIVE_SECONDS)),
            ]
            lines += [line for way in together for line in _forward_lines(way)]
            # A tunnel that is called so keeps its name.
            blocks.append(_block(f"all-{alias}" if alias in taken else alias, lines))
    return blocks


def _connection_lines(way: Way, host: str, *, windows: bool) -> list[tuple[str, str]]:
    lines = [
        ("HostName", ssh_config(host)),
        ("Port", str(way.port)),
        ("User", ssh_config(way.login)),
    ]
    if way.method is Method.TOKEN:
        lines += [("PubkeyAuthentication", "no"), ("BatchMode", "no")]
    elif way.key_file:
        lines += [("IdentityFile", ssh_config(way.key_file)), ("IdentitiesOnly", "yes")]
    if way.method is Method.TOKEN and not windows:
        lines += [
            ("ControlMaster", "auto"),
            ("ControlPath", "~/.ssh/tunnel-%C"),
            ("ControlPersist", f"{MASTER_MINUTES}m"),
        ]
    else:
        lines.append(("ControlPath", "none"))
    return lines


def _forward_lines(way: Way) -> list[tuple[str, str]]:
    lines = []
    for forward in way.forwards:
        ends = (
            f"{way.local_in_forward}:{forward.local}",
            f"{way.target_in_forward}:{forward.port}",
        )
        lines.append(("LocalForward", " ".join(ssh_config(end, tokens=False) for end in ends)))
    return lines


def _block(alias: str, lines: Sequence[tuple[str, str]]) -> str:
    return "\n".join(
        [
            f"Host {ssh_config(alias, tokens=False)}",
            *(f"    {key} {value}" for key, value in lines),
        ]
    )


def plink_arguments(way: Way) -> list[str]:
    """Give the words of the plink command; it knows the host by its fingerprints."""
    words = ["plink", "-ssh", "-N", "-P", str(way.port), "-l", way.login]
    if way.method is Method.TOKEN:
        words.append("-noagent")
    elif way.key_file:
        words += ["-i", way.key_file]
    for fingerprint in way.fingerprints:
        words += ["-hostkey", fingerprint]
    for forward in way.forward_specs:
        words += ["-L", forward]
    return [*words, way.host]


def unattended_arguments(way: Way) -> list[str]:
    """Give the words of an ssh command that asks nobody: its key has no passphrase."""
    _, *words = way.arguments()
    if not way.key_file:
        words = ["-i", DEFAULT_KEY_FILE, "-o", "IdentitiesOnly=yes", *words]
    return ["ssh", "-o", "BatchMode=yes", *words]


def autossh_arguments(way: Way) -> list[str]:
    """Give the words of the autossh command, which relies on ssh's own keep-alive."""
    return ["autossh", "-M", "0", *unattended_arguments(way)[1:]]


def unit_name(way: Way) -> str:
    """Name the file of the systemd unit."""
    return f"tunnel-{way.tunnel.name}.service"


def unit(way: Way) -> str:
    """Write a unit of the user's own systemd, which starts ssh again whenever it ends."""
    _, *words = unattended_arguments(way)
    return _unit(
        unit_name(way),
        f"Tunnel {way.tunnel.name} through {bracketed(way.host)}",
        f"/usr/bin/{systemd(['ssh', *words])}",
        "Restart=always",
    )


def unit_of_connect(words: Sequence[str]) -> str:
    """Write a unit of the user's own systemd that keeps several tunnels open.

    What ``connect`` says would be refused again is not started again.

    :param words: of the command, which begin with the program's path.
    """
    restart = "Restart=on-failure\nRestartPreventExitStatus=1 2\nSuccessExitStatus=143"
    return _unit("tunnelcloud-connect.service", "TunnelCloud's tunnels", systemd(words), restart)


def _unit(name: str, description: str, command: str, restart: str) -> str:
    return f"""\
# ~/.config/systemd/user/{name}
# systemctl --user enable --now {name}
# loginctl enable-linger    (keeps it running while you are logged out)
[Unit]
Description={description}
StartLimitIntervalSec=0

[Service]
ExecStart={command}
{restart}
RestartSec=10

[Install]
WantedBy=default.target
"""


def pgadmin_servers(way: Way) -> str:
    """Write the file for pgAdmin's "Import/Export Servers".

    Who logs in to the database is for its user to say: ``postgres`` stands there until then.
    """
    with_key = way.method is Method.KEY
    server: dict[str, object] = {
        "Name": way.tunnel.title or way.tunnel.name,
        "Group": "Servers",
        "Host": way.target,
        "Port": way.forwards[0].port,
        "MaintenanceDB": "postgres",
        "Username": "postgres",
        "UseSSHTunnel": 1,
        "TunnelHost": way.host,
        "TunnelPort": str(way.port),
        "TunnelUsername": way.tool_login,
        "TunnelAuthentication": 1 if with_key else 0,
        "TunnelKeepAlive": KEEP_ALIVE_SECONDS,
    }
    if with_key:
        server["TunnelIdentityFile"] = way.key_file or DEFAULT_KEY_FILE
    return json.dumps({"Servers": {"1": server}}, indent=2) + "\n"

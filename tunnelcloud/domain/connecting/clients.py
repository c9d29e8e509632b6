"""SSH clients: OpenSSH in each shell, its configuration, PuTTY, SecureCRT, MobaXterm, services."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve

from tunnelcloud.domain.connecting.files import (
    MASTER_MINUTES,
    autossh_arguments,
    config_alias,
    config_block,
    plink_arguments,
    unit,
    unit_name,
)
from tunnelcloud.domain.connecting.quoting import cmd, posix, powershell
from tunnelcloud.domain.connecting.settings import (
    TITLES,
    TOKEN_VALUE,
    Kind,
    Manner,
    Row,
    Text,
    Tool,
    absent,
    key_file,
    offers,
    windows_path,
)
from tunnelcloud.domain.connecting.way import KEEP_ALIVE_SECONDS, Way
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.ssh_command import bracketed

_SHELLS = {
    "Linux and macOS": posix,
    "Windows PowerShell": powershell,
    "Windows cmd": cmd,
}
_ASKED = "When it asks for the one-time token, paste the one of step 1."
_OPEN = "The session stays open; the tunnel works as long as it does."


def _by_method(make: Callable[[Way], Manner], way: Way, methods: Sequence[Method]) -> list[Manner]:
    """Make a client's two ways: with a key, and with a token."""
    return [
        make(evolve(way, method=Method(kind.value))) if offers(kind, methods) else absent(kind)
        for kind in (Kind.KEY, Kind.TOKEN)
    ]


def _each_shell(words: Sequence[str], what: str = "") -> list[Text]:
    lines: dict[str, list[str]] = {}
    for shell, quote in _SHELLS.items():
        lines.setdefault(quote(words), []).append(shell)
    prefix = f"{what}: " if what else ""
    return [Text(prefix + ", ".join(shells), line) for line, shells in lines.items()]


def openssh(way: Way, methods: Sequence[Method]) -> Tool:
    """Give the ssh command for each shell."""

    def manner(one: Way) -> Manner:
        note = _ASKED if one.method is Method.TOKEN else ""
        texts = _each_shell(one.arguments())
        return Manner(Kind(one.method), TITLES[Kind(one.method)], note, texts=texts)

    where = "In a terminal; keep it running while you work"
    return Tool("openssh", "OpenSSH", "7 or later", where, _by_method(manner, way, methods))


def openssh_config(way: Way, methods: Sequence[Method]) -> Tool:
    """Give the block for ``~/.ssh/config``."""
    alias = config_alias(way)

    def manner(one: Way) -> Manner:
        if one.method is Method.KEY:
            texts = [Text("~/.ssh/config", config_block(one))]
            note = f"Then run: ssh -N {alias}"
        else:
            texts = [
                Text("~/.ssh/config on Linux and macOS", config_block(one)),
                Text("~/.ssh/config on Windows", config_block(one, windows=True)),
            ]
            note = (
                f"Then run: ssh -N {alias} (on Linux and macOS it goes on in the background; "
                f"ssh -O exit {alias} ends it, and so do {MASTER_MINUTES} minutes without use). "
                + _ASKED
            )
        return Manner(Kind(one.method), TITLES[Kind(one.method)], note, texts=texts)

    where = "At the top of the file, above any Host *; make it if there is none"
    return Tool("ssh-config", "~/.ssh/config", "", where, _by_method(manner, way, methods))


def putty(way: Way, methods: Sequence[Method]) -> Tool:
    """Give PuTTY's settings, and the plink command."""

    def manner(one: Way) -> Manner:
        with_key = one.method is Method.KEY
        rows = [
            Row("Session", "Host Name (or IP address)", one.host),
            Row("Session", "Port", str(one.port)),
            Row("Connection", "Seconds between keepalives (0 to turn off)",
                str(KEEP_ALIVE_SECONDS)),
            Row("Connection, Data", "Auto-login username", one.tool_login),
            Row("Connection, SSH", "Don't start a shell or command at all", "ticked", copied=False),
            *(Row("Connection, SSH, Host keys", "Host keys or fingerprints to accept", fingerprint)
              for fingerprint in one.fingerprints),
        ]  # fmt: skip
        if with_key:
            place = "Connection, SSH, Auth, Credentials"
            rows.append(Row(place, "Private key file for authentication", windows_path(_ppk(one))))
        else:
            place, label = "Connection, SSH, Auth", "Attempt authentication using Pageant"
            rows.append(Row(place, label, "not ticked", copied=False))
            rows.append(Row("When it asks", "One-time token", TOKEN_VALUE, secret=True))
        place = "Connection, SSH, Tunnels"
        for forward in one.forwards:
            source = f"{one.local_in_forward}:{forward.local}"
            destination = f"{one.target_in_forward}:{forward.port}"
            rows += [
                Row(place, "Source port", source),
                Row(place, "Destination", destination),
                Row(place, "Add", "pressed", copied=False),
            ]
        note = "PuTTY reads .ppk files: the page Keys makes one, or PuTTYgen from a key you have."
        line = plink_arguments(evolve(one, key_file=_ppk(one)) if with_key else one)
        texts = _each_shell(line, "plink")
        return Manner(
            Kind(one.method), TITLES[Kind(one.method)], note if with_key else _ASKED, rows, texts
        )

    return Tool(
        "putty",
        "PuTTY",
        "0.83",
        "PuTTY Configuration; then Save under Session, and Open",
        _by_method(manner, way, methods),
    )


def _ppk(way: Way) -> str:
    file = key_file(way)
    return file if file.endswith(".ppk") else f"{file}.ppk"


def securecrt(way: Way, methods: Sequence[Method]) -> Tool:
    """Give SecureCRT's settings."""

    def manner(one: Way) -> Manner:
        with_key = one.method is Method.KEY
        place = "Connection, SSH2"
        rows = [
            Row(place, "Hostname", one.host),
            Row(place, "Port", str(one.port)),
            Row(place, "Username", one.tool_login),
            Row(place, "Authentication", "PublicKey" if with_key else "Keyboard Interactive",
                copied=False),
        ]  # fmt: skip
        if with_key:
            label = "PublicKey, Properties, Use identity or certificate file"
            rows.append(Row(place, label, windows_path(key_file(one))))
        else:
            rows.append(Row("When it asks", "One-time token", TOKEN_VALUE, secret=True))
        place = "Port Forwarding, Add"
        for forward in one.forwards:
            rows += [
                Row(place, "Name", f"{one.tunnel.name}-{forward.port}"),
                Row(place, "Local: Manually select local IP address", one.local_address),
                Row(place, "Local: Port", str(forward.local)),
                Row(place, "Destination host is different from the SSH server", "ticked",
                    copied=False),
                Row(place, "Remote: Hostname", one.target),
                Row(place, "Remote: Port", str(forward.port)),
            ]  # fmt: skip
        note = _OPEN if with_key else f"{_ASKED} {_OPEN}"
        return Manner(Kind(one.method), TITLES[Kind(one.method)], note, rows)

    where = "File, Connect, New Session, then its Properties"
    return Tool("securecrt", "SecureCRT", "9.6", where, _by_method(manner, way, methods))


def mobaxterm(way: Way, methods: Sequence[Method]) -> Tool:
    """Give MobaXterm's settings; each of its tunnels is an SSH connection of its own."""

    def manner(one: Way) -> Manner:
        rows = []
        for forward in one.forwards:
            place = f"Tunnel for {forward.port}"
            rows += [
                Row(place, "Local port forwarding", "chosen", copied=False),
                Row(place, "Forwarded port", str(forward.local)),
                Row(place, "Remote server", one.target),
                Row(place, "Remote port", str(forward.port)),
                Row(place, "SSH server", one.host),
                Row(place, "SSH login", one.tool_login),
                Row(place, "SSH port", str(one.port)),
            ]
        if one.method is Method.KEY:
            note = "Save, then choose the key with the key symbol of the tunnel's line."
            rows.append(Row("The list of tunnels", "The key symbol", windows_path(key_file(one))))
        else:
            note = f"{_ASKED} Each port is a connection of its own, and needs a token of its own."
            rows.append(Row("When it asks", "Password", TOKEN_VALUE, secret=True))
        return Manner(Kind(one.method), TITLES[Kind(one.method)], note, rows)

    where = "Tunneling, New SSH tunnel"
    return Tool("mobaxterm", "MobaXterm", "25", where, _by_method(manner, way, methods))


def unattended(way: Way, methods: Sequence[Method]) -> Tool:
    """Give a service's unit and the autossh command; nobody is there to paste a token."""
    if Method.KEY not in methods:
        manners = [absent(Kind.KEY)]
    else:
        one = evolve(way, method=Method.KEY)
        note = (
            "The key has no passphrase. For a machine of its own, ask an administrator for a "
            "service account, so that it doesn't run as you."
        )
        texts = [
            Text("A unit of systemd", unit(one), unit_name(one)),
            Text("autossh", posix(autossh_arguments(one))),
            Text(
                "For ~/.ssh/known_hosts, since nobody can say yes", "\n".join(one.own_known_hosts)
            ),
        ]
        manners = [Manner(Kind.KEY, TITLES[Kind.KEY], note, texts=texts)]
    where = f"For machines that keep a tunnel to {bracketed(way.target)} open"
    return Tool("unattended", "Unattended", "systemd, autossh", where, manners)

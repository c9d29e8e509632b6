"""Programs that connect to a port of the user's machine: what to type, or which link to open.

They know nothing of SSH, so the ssh command runs beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from tunnelcloud.domain.commands import bracketed
from tunnelcloud.domain.connecting.quoting import posix
from tunnelcloud.domain.connecting.settings import TITLES, Kind, Manner, Text, Tool
from tunnelcloud.domain.connecting.way import Forward, Way

_MOST_PORTS = 3
_NAMES = "USER and DATABASE are the server's own names: TunnelCloud doesn't know them."
_OWN_NAME = "USER is your name on the server: TunnelCloud doesn't know it."


@frozen
class Program:
    """One program.

    :ivar ports: the target ports that it is usually for.
    :ivar line: gives the words of its command for a local address and port; None without one.
    :ivar scheme: of links that it opens, where the system knows the program; empty without.
    """

    slug: str
    name: str
    ports: Sequence[int]
    line: Callable[[str, int], Sequence[str]] | None
    note: str = ""
    scheme: str = ""


PROGRAMS = (
    Program("psql", "psql", (5432,),
            lambda host, port: ("psql", "-h", host, "-p", str(port), "-U", "USER", "DATABASE"),
            _NAMES, "postgresql"),
    Program("mysql", "mysql", (3306,),
            lambda host, port: ("mysql", "-h", host, "-P", str(port), "-u", "USER", "-p"),
            _OWN_NAME, "mysql"),
    Program("sqlcmd", "sqlcmd", (1433,),
            lambda host, port: ("sqlcmd", "-S", f"{host},{port}", "-U", "USER"), _OWN_NAME),
    Program("redis-cli", "redis-cli", (6379,),
            lambda host, port: ("redis-cli", "-h", host, "-p", str(port)), scheme="redis"),
    Program("mongosh", "mongosh", (27017,),
            lambda host, port: ("mongosh", "--host", host, "--port", str(port)),
            scheme="mongodb"),
    Program("mstsc", "Remote Desktop", (3389,),
            lambda host, port: ("mstsc", f"/v:{bracketed(host)}:{port}"),
            "Windows keeps port 3389 of its own machine for itself: choose another local port "
            "under Options."),
    Program("remmina", "Remmina", (3389,),
            lambda host, port: ("remmina", "-c", f"rdp://{bracketed(host)}:{port}")),
    Program("ssh", "ssh", (22, 2222),
            lambda host, port: ("ssh", "-p", str(port), f"USER@{host}"), _OWN_NAME, "ssh"),
    Program("browser", "Web browser", (80, 8000, 8080, 3000, 5000, 9000), None, scheme="http"),
    Program("browser-tls", "Web browser, https", (443, 8443), None,
            "The browser warns that the certificate is for another name: the name in the address "
            "is your machine's.", "https"),
    Program("vnc", "VNC viewer", (5900, 5901),
            lambda host, port: ("vncviewer", f"{bracketed(host)}::{port}"), scheme="vnc"),
)  # fmt: skip


def _forwards(program: Program, way: Way) -> Sequence[Forward]:
    """Choose the ports that a program is for; if none is, the first."""
    usual = [forward for forward in way.forwards if forward.port in program.ports]
    return usual[:_MOST_PORTS] or way.forwards[:1]


def program_tool(program: Program, way: Way) -> Tool:
    """Say how a program connects while the ssh command runs, by whichever method that opens."""
    texts, links = [], []
    for forward in _forwards(program, way):
        if program.line is not None:
            line = posix(program.line(way.local_address, forward.local))
            texts.append(Text(f"Type for port {forward.port}", line))
        if program.scheme:
            links.append(f"{program.scheme}://{way.local_in_forward}:{forward.local}/")
    manner = Manner(
        Kind.COMMAND, TITLES[Kind.COMMAND], program.note, texts=texts, links=tuple(links)
    )
    return Tool(program.slug, program.name, "", "While the command runs", [manner])

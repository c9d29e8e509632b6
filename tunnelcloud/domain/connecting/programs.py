"""Programs that connect to a port of the user's machine: what to type, or which link to open.

They know nothing of SSH, so the ssh command runs beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from tunnelcloud.domain.connecting.quoting import posix
from tunnelcloud.domain.connecting.settings import TITLES, Kind, Manner, Row, Text, Tool
from tunnelcloud.domain.connecting.way import Forward, Way
from tunnelcloud.domain.ssh_command import bracketed

_MOST_PORTS = 3
_NAMES = "USER and DATABASE are the server's own names: TunnelCloud doesn't know them."
_OWN_NAME = "USER is your name on the server: TunnelCloud doesn't know it."


@frozen
class Program:
    """One program.

    :ivar ports: the target ports that it is usually for.
    :ivar line: gives the words of its command for a local address and port; None without one.
    :ivar scheme: of links that it opens, where the system knows the program; empty without.
    :ivar rows: gives the fields of its dialog, likewise: place, label, value.
    :ivar file: gives a file that opens the connection, likewise: its ending, its text.
    :ivar version: the release whose field names the rows are; empty without rows.
    """

    slug: str
    name: str
    ports: Sequence[int]
    line: Callable[[str, int], Sequence[str]] | None
    note: str = ""
    scheme: str = ""
    rows: Callable[[str, int], Sequence[tuple[str, str, str]]] | None = None
    file: Callable[[str, int], tuple[str, str]] | None = None
    version: str = ""


def _rdp_file(host: str, port: int) -> tuple[str, str]:
    return "rdp", f"full address:s:{bracketed(host)}:{port}\r\nprompt for credentials:i:1\r\n"


def _remmina_file(host: str, port: int) -> tuple[str, str]:
    server = f"{bracketed(host)}:{port}"
    return "remmina", f"[remmina]\nname={server}\nprotocol=RDP\nserver={server}\n"


PROGRAMS = (
    Program("psql", "psql", (5432,),
            lambda host, port: ("psql", "-h", host, "-p", str(port), "-U", "USER", "DATABASE"),
            _NAMES, "postgresql"),
    Program("mysql", "mysql", (3306,),
            lambda host, port: ("mysql", "-h", host, "-P", str(port), "-u", "USER", "-p"),
            _OWN_NAME, "mysql"),
    Program("sqlcmd", "sqlcmd", (1433,),
            lambda host, port: ("sqlcmd", "-S", f"{host},{port}", "-U", "USER"), _OWN_NAME),
    Program("ssms", "SQL Server Management Studio", (1433,), None,
            "A comma stands before the port. The server's certificate is for its own name, so "
            "Trust server certificate is ticked, or Host name in certificate is filled in.",
            rows=lambda host, port: (
                ("Connect to Server, Login", "Server name", f"{host},{port}"),
                ("Connect to Server, Login", "Authentication", "SQL Server Authentication"),
                ("Connect to Server, Login", "Encrypt", "Mandatory"),
                ("Connect to Server, Login", "Trust server certificate", "ticked")),
            version="21"),
    Program("redis-cli", "redis-cli", (6379,),
            lambda host, port: ("redis-cli", "-h", host, "-p", str(port)), scheme="redis"),
    Program("mongosh", "mongosh", (27017,),
            lambda host, port: ("mongosh", "--host", host, "--port", str(port)),
            scheme="mongodb"),
    Program("mstsc", "Remote Desktop", (3389,),
            lambda host, port: ("mstsc", f"/v:{bracketed(host)}:{port}"),
            "Windows keeps port 3389 of its own machine for itself: choose another local port "
            "under Options.", file=_rdp_file),
    Program("remmina", "Remmina", (3389,),
            lambda host, port: ("remmina", "-c", f"rdp://{bracketed(host)}:{port}"),
            file=_remmina_file),
    Program("ssh", "ssh", (22, 2222),
            lambda host, port: ("ssh", "-p", str(port), f"USER@{host}"), _OWN_NAME, "ssh"),
    Program("vscode", "VS Code, Remote - SSH", (22, 2222),
            lambda host, port: (
                "code", "--remote", f"ssh-remote+USER@{bracketed(host)}:{port}"), _OWN_NAME),
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
    texts, links, rows = [], [], list[Row]()
    for forward in _forwards(program, way):
        if program.line is not None:
            line = posix(program.line(way.local_address, forward.local))
            texts.append(Text(f"Type for port {forward.port}", line))
        if program.rows is not None:
            fields = program.rows(way.local_address, forward.local)
            rows += [Row(*one, copied=one[1] == "Server name") for one in fields]
        if program.file is not None:
            ending, text = program.file(way.local_address, forward.local)
            name = f"{way.tunnel.name}-{forward.port}.{ending}"
            texts.append(Text("A file that opens it", text, name))
        if program.scheme:
            links.append(f"{program.scheme}://{way.local_in_forward}:{forward.local}/")
    manner = Manner(
        Kind.COMMAND, TITLES[Kind.COMMAND], program.note, rows, texts, links=tuple(links)
    )
    return Tool(program.slug, program.name, program.version, "While the command runs", [manner])

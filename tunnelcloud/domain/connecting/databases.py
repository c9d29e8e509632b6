"""Database tools that open their own SSH connection, and whatever other tool does.

Each is a description of its dialog, in its own words; one function fills any of them in.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from tunnelcloud.domain.commands import bracketed
from tunnelcloud.domain.connecting.files import pgadmin_servers
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
)
from tunnelcloud.domain.connecting.way import Way
from tunnelcloud.domain.entities import Method

_RSA = "Its SSH library may read no Ed25519 keys: make an RSA key for it."


@frozen
class Dialog:
    """The dialog of one tool: where it is, and how it names its fields.

    :ivar switches: what is to be set beside the fields: place, label, value.
    :ivar ssh_port: empty where the port is written behind the host's name.
    :ivar authentication: its label, and the choices for a key and for a password; None where
        filling in a key file is the choice.
    :ivar key_note: what to know about its keys.
    :ivar ports: the target ports that it is usually for.
    """

    slug: str
    name: str
    version: str
    where: str
    ssh_place: str
    ssh_host: str
    ssh_port: str
    ssh_user: str
    key_file: str
    password: str
    target_place: str
    target_host: str
    target_port: str
    switches: Sequence[tuple[str, str, str]] = ()
    authentication: tuple[str, str, str] | None = None
    key_note: str = ""
    ports: Sequence[int] = ()


DIALOGS = (
    Dialog(
        "mysql-workbench", "MySQL Workbench", "8.0", "Database, Manage Connections, New",
        "Parameters", "SSH Hostname", "", "SSH Username", "SSH Key File", "SSH Password",
        "Parameters", "MySQL Hostname", "MySQL Server Port",
        switches=(("Connection", "Connection Method", "Standard TCP/IP over SSH"),),
        ports=(3306,),
    ),
    Dialog(
        "pgadmin", "pgAdmin 4", "9", "Object, Register, Server",
        "SSH Tunnel", "Tunnel host", "Tunnel port", "Username", "Identity file", "Password",
        "Connection", "Host name/address", "Port",
        switches=(("SSH Tunnel", "Use SSH tunneling", "on"),),
        authentication=("Authentication", "Identity file", "Password"),
        ports=(5432,),
    ),
    Dialog(
        "robo3t", "Robo 3T", "1.4", "File, Connect, Create",
        "SSH", "SSH Address", "SSH Address, behind the colon", "SSH User Name", "Private key",
        "User Password", "Connection", "Address", "Address, behind the colon",
        switches=(("SSH", "Use SSH tunnel", "ticked"),),
        authentication=("SSH Auth Method", "Private Key", "Password"),
        key_note=_RSA,
        ports=(27017,),
    ),
    Dialog(
        "fastoredis", "FastoRedis", "2", "File, Connect, Add connection",
        "SSH", "SSH Address", "SSH Address, behind the colon", "SSH User Name", "Private key",
        "User Password", "Main", "Host", "Host, behind the colon",
        switches=(("SSH", "Use SSH tunnel", "ticked"),),
        authentication=("SSH Auth Method", "Public/Private key", "Password"),
        key_note=_RSA,
        ports=(6379,),
    ),
    Dialog(
        "dbeaver", "DBeaver", "24", "Database, New Database Connection",
        "SSH", "Host/IP", "Port", "User Name", "Private Key", "Password",
        "Main", "Host", "Port",
        switches=(("SSH", "Use SSH Tunnel", "ticked"),),
        authentication=("Authentication Method", "Public Key", "Password"),
        ports=(5432, 3306, 1433, 1521, 27017),
    ),
    Dialog(
        "other", "Any other tool", "", "Whatever it calls them",
        "SSH", "SSH host", "SSH port", "SSH user", "SSH private key", "SSH password",
        "Database", "Remote host", "Remote port",
    ),
)  # fmt: skip


def _ssh_rows(dialog: Dialog, way: Way) -> list[Row]:
    place = dialog.ssh_place
    host = way.host if dialog.ssh_port else f"{bracketed(way.host)}:{way.port}"
    rows = [Row(*switch, copied=False) for switch in dialog.switches]
    rows.append(Row(place, dialog.ssh_host, host))
    if dialog.ssh_port:
        rows.append(Row(place, dialog.ssh_port, str(way.port)))
    rows.append(Row(place, dialog.ssh_user, way.tool_login))
    with_key = way.method is Method.KEY
    if dialog.authentication is not None:
        label, key_word, password_word = dialog.authentication
        rows.append(Row(place, label, key_word if with_key else password_word, copied=False))
    if with_key:
        rows.append(Row(place, dialog.key_file, key_file(way)))
    else:
        rows.append(Row(place, dialog.password, TOKEN_VALUE, secret=True))
    return rows


def _target_rows(dialog: Dialog, host: str, port: int) -> list[Row]:
    return [
        Row(dialog.target_place, dialog.target_host, host),
        Row(dialog.target_place, dialog.target_port, str(port)),
    ]


def _manner(dialog: Dialog, way: Way, kind: Kind) -> Manner:
    first = way.forwards[0]
    if kind is Kind.COMMAND:
        return Manner(
            kind,
            TITLES[kind],
            "Leave the SSH part of the dialog empty. The command has to run all the time.",
            _target_rows(dialog, way.local_address, first.local),
        )
    way = evolve(way, method=Method(kind.value))
    rows = [*_ssh_rows(dialog, way), *_target_rows(dialog, way.target, first.port)]
    if kind is Kind.KEY:
        note = dialog.key_note
    else:
        note = (
            "The token opens one SSH connection. When the tool needs a second one, or connects "
            "again later, it is refused: a key or the command doesn't have that limit."
        )
    texts = []
    if dialog.slug == "pgadmin":
        name = f"pgadmin-{way.tunnel.name}.json"
        texts = [Text("For Tools, Import/Export Servers", pgadmin_servers(way), name)]
    return Manner(kind, TITLES[kind], note, rows, texts)


def database_tool(dialog: Dialog, way: Way, methods: Sequence[Method]) -> Tool:
    """Fill in a tool's dialog.

    :param methods: by which the tunnel opens for this user.
    """
    manners = [
        _manner(dialog, way, kind) if offers(kind, methods) else absent(kind) for kind in Kind
    ]
    return Tool(dialog.slug, dialog.name, dialog.version, dialog.where, manners)

"""Tools that open their own SSH connection, each as a description of its dialog in its own words.

The labels are those of the release that stands beside the name.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

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
    :ivar then: what is left to do: user, database, test, save, open.
    :ivar ended: what to use instead of a tool that nobody develops any more.
    :ivar windows: whether it runs on Windows alone, so that paths are Windows'.
    :ivar ppk: whether it reads PuTTY's key files.
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
    then: str = ""
    ended: str = ""
    windows: bool = False
    ppk: bool = False


DIALOGS = (
    Dialog(
        "mysql-workbench", "MySQL Workbench", "8.0", "Database, Manage Connections, New",
        "Parameters", "SSH Hostname", "", "SSH Username", "SSH Key File", "SSH Password",
        "Parameters", "MySQL Hostname", "MySQL Server Port",
        switches=(("Connection", "Connection Method", "Standard TCP/IP over SSH"),),
        ports=(3306,),
        then="Type the server's Username, press Test Connection, then OK; its tile opens it.",
    ),
    Dialog(
        "pgadmin", "pgAdmin 4", "9", "Object, Register, Server",
        "SSH Tunnel", "Tunnel host", "Tunnel port", "Username", "Identity file", "Password",
        "Connection", "Host name/address", "Port",
        switches=(("SSH Tunnel", "Use SSH tunneling", "on"),),
        authentication=("Authentication", "Identity file", "Password"),
        ports=(5432,),
        then="Give it a Name under General, type Maintenance database and Username, then Save: it "
        "connects.",
    ),
    Dialog(
        "dbeaver", "DBeaver", "25", "Database, New Database Connection",
        "SSH", "Host/IP", "Port", "User Name", "Private Key", "Password",
        "Main", "Host", "Port",
        switches=(("SSH", "Use SSH Tunnel", "ticked"),),
        authentication=("Authentication Method", "Public Key", "Password"),
        ports=(5432, 3306, 1433, 1521, 27017),
        then="Type Database, Username and Password under Main, press Test Connection, then Finish.",
    ),
    Dialog(
        "datagrip", "DataGrip", "2025.2", "File, New, Data Source",
        "SSH/SSL, SSH Configurations", "Host", "Port", "Username", "Private key file", "Password",
        "General", "Host", "Port",
        switches=(("SSH/SSL", "Use SSH tunnel", "ticked"),),
        authentication=("Authentication type", "Key pair", "Password"),
        ports=(5432, 1433, 3306),
        then="Type User, Password and Database under General, press Test Connection, then OK.",
    ),
    Dialog(
        "tableplus", "TablePlus", "6", "File, New, Connection; choose the database, then Create",
        "Over SSH", "Server", "Port", "User", "Import a private key", "Password",
        "Connection", "Host", "Port",
        switches=(("Connection", "Over SSH", "pressed"),),
        authentication=("Use SSH key", "ticked", "not ticked"),
        ports=(5432, 3306),
        then="Type the server's User, Password and Database, press Test, then Connect.",
    ),
    Dialog(
        "heidisql", "HeidiSQL", "12", "Session manager, New",
        "SSH tunnel", "SSH host", "SSH port", "Username", "Private key file", "Password",
        "Settings", "Hostname / IP", "Port",
        switches=(("Settings", "Network type", "the one of your database with (SSH tunnel)"),
                  ("SSH tunnel", "SSH executable", "plink.exe")),
        ports=(3306,),
        then="Type the server's User and Password under Settings, then Save, and Open.",
        windows=True, ppk=True,
    ),
    Dialog(
        "redis-insight", "Redis Insight", "2.70", "Add Redis database, Connection settings",
        "Security", "Host", "Port", "Username", "Private Key: the text of this file", "Password",
        "General", "Host", "Port",
        switches=(("Security", "Use SSH Tunnel", "ticked"),),
        authentication=("Authentication", "Private Key", "Password"),
        ports=(6379,),
        then="Press Test Connection, then Add Redis Database; a click on its row opens it.",
    ),
    Dialog(
        "compass", "MongoDB Compass", "1.46", "Add new connection, Advanced Connection Options",
        "Proxy/SSH", "SSH Hostname", "SSH Port", "SSH Username", "SSH Identity File",
        "SSH Password", "General", "Host", "Host, behind the colon",
        authentication=("SSH Tunnel/Proxy Method", "SSH with Identity File", "SSH with Password"),
        ports=(27017,),
        then="Tick Direct Connection for one member of a replica set, then Save & Connect.",
    ),
    Dialog(
        "winscp", "WinSCP", "6", "New Site, Advanced",
        "Connection, Tunnel", "Host name", "Port number", "User name", "Private key file",
        "Password", "Session", "Host name", "Port number",
        switches=(("Session", "File protocol", "SFTP"),
                  ("Connection, Tunnel", "Connect through SSH tunnel", "ticked")),
        ports=(22,),
        then="Type your User name and Password on the server under Session, then Save, and Login.",
        windows=True, ppk=True,
    ),
    Dialog(
        "other", "Any other tool", "", "Whatever it calls them",
        "SSH", "SSH host", "SSH port", "SSH user", "SSH private key", "SSH password",
        "Database", "Remote host", "Remote port",
    ),
    Dialog(
        "robo3t", "Robo 3T", "1.4", "File, Connect, Create",
        "SSH", "SSH Address", "SSH Address, behind the colon", "SSH User Name", "Private key",
        "User Password", "Connection", "Address", "Address, behind the colon",
        switches=(("SSH", "Use SSH tunnel", "ticked"),),
        authentication=("SSH Auth Method", "Private Key", "Password"),
        key_note=_RSA,
        ended="Robo 3T is no longer developed: MongoDB Compass is what goes on.",
    ),
    Dialog(
        "fastoredis", "FastoRedis", "2", "File, Connect, Add connection",
        "SSH", "SSH Address", "SSH Address, behind the colon", "SSH User Name", "Private key",
        "User Password", "Main", "Host", "Host, behind the colon",
        switches=(("SSH", "Use SSH tunnel", "ticked"),),
        authentication=("SSH Auth Method", "Public/Private key", "Password"),
        key_note=_RSA,
        ended="FastoRedis is no longer developed: Redis Insight is what goes on.",
    ),
)  # fmt: skip

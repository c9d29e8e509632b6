"""The rows of each tool's tab log in, as they are shown, by the library that the tool uses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from attrs import frozen

from tests.browser import tool_clients
from tests.browser.test_connecting import PortalCase
from tests.integration.processes import PATIENCE, free_port
from tests.requirements import require_executable, require_module, require_pgadmin_python

_LOADER = Path(tool_clients.__file__).parent / "pgadmin_loader.py"


@frozen
class Fields:
    """Which rows hold what, as place and label; the port may stand behind the host."""

    library: str
    host: tuple
    user: tuple
    key: tuple
    password: tuple
    target_host: tuple
    target_port: tuple
    port: tuple = ()


TOOLS = {
    "mysql-workbench": Fields(
        "libssh",
        ("Parameters", "SSH Hostname"),
        ("Parameters", "SSH Username"),
        ("Parameters", "SSH Key File"),
        ("Parameters", "SSH Password"),
        ("Parameters", "MySQL Hostname"),
        ("Parameters", "MySQL Server Port"),
    ),
    "pgadmin": Fields(
        "sshtunnel",
        ("SSH Tunnel", "Tunnel host"),
        ("SSH Tunnel", "Username"),
        ("SSH Tunnel", "Identity file"),
        ("SSH Tunnel", "Password"),
        ("Connection", "Host name/address"),
        ("Connection", "Port"),
        ("SSH Tunnel", "Tunnel port"),
    ),
    "robo3t": Fields(
        "libssh2",
        ("SSH", "SSH Address"),
        ("SSH", "SSH User Name"),
        ("SSH", "Private key"),
        ("SSH", "User Password"),
        ("Connection", "Address"),
        ("Connection", "Address, behind the colon"),
        ("SSH", "SSH Address, behind the colon"),
    ),
    "fastoredis": Fields(
        "libssh2",
        ("SSH", "SSH Address"),
        ("SSH", "SSH User Name"),
        ("SSH", "Private key"),
        ("SSH", "User Password"),
        ("Main", "Host"),
        ("Main", "Host, behind the colon"),
        ("SSH", "SSH Address, behind the colon"),
    ),
    "dbeaver": Fields(
        "jsch",
        ("SSH", "Host/IP"),
        ("SSH", "User Name"),
        ("SSH", "Private Key"),
        ("SSH", "Password"),
        ("Main", "Host"),
        ("Main", "Port"),
        ("SSH", "Port"),
    ),
    "other": Fields(
        "paramiko",
        ("SSH", "SSH host"),
        ("SSH", "SSH user"),
        ("SSH", "SSH private key"),
        ("SSH", "SSH password"),
        ("Database", "Remote host"),
        ("Database", "Remote port"),
        ("SSH", "SSH port"),
    ),
}


class ToolTests(PortalCase):
    def logs_in(self, fields, rows):
        """Log in with exactly what the rows say."""
        host, port = rows[fields.host], rows.get(fields.port)
        if not fields.port:
            host, _, port = host.rpartition(":")
        settings = {
            "library": fields.library,
            "host": host,
            "port": int(port),
            "user": rows[fields.user],
            "key": rows.get(fields.key),
            "password": rows.get(fields.password),
            "target_host": rows[fields.target_host],
            "target_port": int(rows[fields.target_port]),
        }
        python = require_pgadmin_python() if fields.library == "sshtunnel" else sys.executable
        # -E: trial's workers put their own libraries in PYTHONPATH.
        done = subprocess.run(
            [python, "-E", tool_clients.__file__, json.dumps(settings)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, **self.portal.environment()},
        )
        self.assertEqual(done.returncode, 0, f"{settings}: {done.stderr}")

    def works_in(self, slug):
        fields = TOOLS[slug]
        (target,) = self.ports("db")
        port = free_port()
        query = f"?tool={slug}&{self.with_key()}&port_{target}={port}"
        self.visitor.open("db", query)
        self.logs_in(fields, self.visitor.rows("key"))
        rows = self.visitor.rows("command")
        process = self.portal.run(self.visitor.copied("command"))
        self.works(process, (rows[fields.target_host], int(rows[fields.target_port])))
        self.visitor.choose("token")
        self.visitor.token()
        self.logs_in(fields, self.visitor.rows("token"))

    def test_mysql_workbench(self):
        require_module("ssh.session")
        self.works_in("mysql-workbench")

    def test_pgadmin(self):
        self.works_in("pgadmin")

    def test_robo3t(self):
        require_module("ssh2.session")
        self.works_in("robo3t")

    def test_fastoredis(self):
        require_module("ssh2.session")
        self.works_in("fastoredis")

    def test_dbeaver(self):
        self.works_in("dbeaver")

    def test_any_other(self):
        self.works_in("other")

    def test_securecrt(self):
        """Its rows, too; its own library isn't to be had."""
        place = "Connection, SSH2"
        fields = Fields(
            "paramiko",
            (place, "Hostname"),
            (place, "Username"),
            (place, "PublicKey, Properties, Use identity or certificate file"),
            ("When it asks", "One-time token"),
            ("Port Forwarding, Add", "Remote: Hostname"),
            ("Port Forwarding, Add", "Remote: Port"),
            (place, "Port"),
        )
        self.works_alone("securecrt", fields)

    def test_mobaxterm(self):
        """As SecureCRT."""
        place = f"Tunnel for {self.ports('db')[0]}"
        fields = Fields(
            "paramiko",
            (place, "SSH server"),
            (place, "SSH login"),
            ("The list of tunnels", "The key symbol"),
            ("When it asks", "Password"),
            (place, "Remote server"),
            (place, "Remote port"),
            (place, "SSH port"),
        )
        self.works_alone("mobaxterm", fields)

    def works_alone(self, slug, fields):
        """It is an SSH client itself: no command runs beside it."""
        self.visitor.open("db", f"?tool={slug}&{self.with_key()}")
        self.logs_in(fields, self.visitor.rows("key"))
        self.visitor.choose("token")
        self.visitor.token()
        self.logs_in(fields, self.visitor.rows("token"))

    def test_putty(self):
        """PuTTY's rows are those of its session; plink is PuTTY without a window."""
        plink = require_executable("plink")
        subprocess.run(
            ["puttygen", self.portal.key.path, "-o", f"{self.portal.key.path}.ppk"], check=True
        )
        (target,) = self.ports("db")
        port = free_port()
        self.visitor.open("db", f"?tool=putty&{self.with_key()}&port_{target}={port}")
        rows = self.visitor.rows("key")
        key = rows["Connection, SSH, Auth, Credentials", "Private key file for authentication"]
        source = rows["Connection, SSH, Tunnels", "Source port"]
        destination = rows["Connection, SSH, Tunnels", "Destination"]
        words = [
            plink, "-batch", "-N", "-P", rows["Session", "Port"],
            "-l", rows["Connection, Data", "Auto-login username"], "-i", key,
            "-hostkey", rows["Connection, SSH, Host keys", "Host keys or fingerprints to accept"],
            "-L", f"{source}:{destination}", rows["Session", "Host Name (or IP address)"],
        ]  # fmt: skip
        process = self.portal.start(words)
        self.works(process, ("127.0.0.1", port))

    def test_pgadmin_takes_the_file(self):
        """PgAdmin's own loader reads what is downloaded, as it is."""
        self.visitor.open("db", f"?tool=pgadmin&{self.with_key()}")
        self.visitor.unfold("open the SSH connection itself")
        with self.page.expect_download() as download:
            self.page.get_by_role("link", name="Download pgadmin-db.json").first.click()
        self.assertEqual(download.value.suggested_filename, "pgadmin-db.json")
        file = self.portal.directory / "servers.json"
        download.value.save_as(file)
        done = subprocess.run(
            [require_pgadmin_python(), "-E", "-W", "ignore", _LOADER, file],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            env={**os.environ, "HOME": str(self.portal.directory)},
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        (server,) = json.loads(re.search(r"^\[.*\]$", done.stdout, re.MULTILINE)[0])
        rows = self.visitor.rows("key")
        self.assertEqual(
            server,
            {
                "name": "db",
                "host": rows["Connection", "Host name/address"],
                "port": int(rows["Connection", "Port"]),
                "use_ssh_tunnel": 1,
                "tunnel_host": rows["SSH Tunnel", "Tunnel host"],
                "tunnel_port": rows["SSH Tunnel", "Tunnel port"],
                "tunnel_username": rows["SSH Tunnel", "Username"],
                "tunnel_authentication": 1,
                "tunnel_identity_file": rows["SSH Tunnel", "Identity file"],
            },
        )

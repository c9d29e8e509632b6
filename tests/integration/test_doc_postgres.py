"""docs/postgresql.md, as it is followed: a user, a database, the file with its address, a pod."""

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import doc_blocks
from tests.integration.database_servers import Servers
from tests.integration.processes import PATIENCE, Gateway
from tests.requirements import require_executable

PAGE = doc_blocks.ROOT / "docs" / "postgresql.md"
ADDRESS_FILE = "/etc/tunnelcloud/database-url"
PASSWORD = secrets.token_hex(8)


class NewInstallationTests(SynchronousTestCase):
    def setUp(self):
        self.servers = Servers()
        self.addCleanup(self.servers.close)
        self.port = self.servers.ports[0]
        self.directory = Path(tempfile.mkdtemp(prefix="tunnelcloud-test-"))
        self.addCleanup(shutil.rmtree, self.directory)
        # What Debian has by default for those who come by the network.
        access = self.servers.data[0] / "pg_hba.conf"
        everybody = access.read_text()
        access.write_text(f"host all tunnelcloud 127.0.0.1/32 scram-sha-256\n{everybody}")
        self.servers.execute(0, "SELECT pg_reload_conf()")

    def follow(self, words, typed):
        """Run a command of the page; what it asks for is given as a person would type it."""
        if words[0] == "install":
            at = words.index("-o")  # the test has no such user
            words = words[:at] + words[at + 2 :]
        server = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres"}
        subprocess.run(
            [require_executable(words[0]), *(self.here(word) for word in words[1:])],
            input=typed,
            text=True,
            capture_output=True,
            env={**os.environ, **server},
            timeout=PATIENCE,
            check=True,
            start_new_session=True,  # what finds no terminal reads its input
        )

    def here(self, text):
        return text.replace(ADDRESS_FILE, str(self.directory / "database-url"))

    def test_a_pod_that_keeps_its_state_there(self):
        text = PAGE.read_text()
        [address] = re.findall(r"`(postgresql://[^`]*)`", text)
        address = address.replace("PASSWORD", PASSWORD)
        address = address.replace("db.example.com", f"127.0.0.1:{self.port}")
        address = address.replace("verify-full", "disable")  # this server has no certificate
        found, settings = [], ""
        for block in doc_blocks.blocks(PAGE):
            if block.kind == "toml":
                settings += self.here(block.text)
            for words in doc_blocks.commands(block.text) if block.kind == "shell" else ():
                words = doc_blocks.program(words)
                typed = address if words[0] == "install" else f"{PASSWORD}\n{PASSWORD}\n"
                self.follow(words, typed)
                found.append(words[0])
        self.assertEqual(found, ["createuser", "createdb", "install"])
        pod = Gateway(self.directory, settings)
        self.addCleanup(pod.process.stop)
        self.assertEqual(pod.get("/readyz"), "ready\n")
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'tunnelcloud'"
        self.assertEqual(self.servers.execute(0, owner), [("tunnelcloud",)])

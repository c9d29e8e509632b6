"""A connection pooler between a pod and PostgreSQL: it works, or the start says what to do."""

import os
import shutil
import tempfile
from pathlib import Path

from sqlalchemy import make_url

from tests.integration.processes import Process, free_port, wait_for_port
from tests.requirements import require_executable
from tests.store.databases import PostgresCase, postgres_server
from tunnelcloud.store import postgres
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import StateUnusable

_IGNORED = "ignore_startup_parameters = options"


class PoolerTests(PostgresCase):
    def pool(self, mode, *settings):
        """Start pgbouncer before the database; give the URL that leads through it."""
        program = require_executable("pgbouncer")
        port = free_port()
        directory = Path(tempfile.mkdtemp(prefix="tunnelcloud-pooler-"))
        self.addCleanup(shutil.rmtree, directory)
        directory.chmod(0o755)
        config = directory / "pgbouncer.ini"
        lines = [
            "[databases]",
            f"migrated = host={make_url(self.url).query['host']} user=postgres",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "auth_type = any",
            f"pool_mode = {mode}",
            *settings,
        ]
        config.write_text("\n".join(lines))
        config.chmod(0o644)
        user = ["-u", postgres_server().system_user] if os.geteuid() == 0 else []
        process = Process([program, *user, config])
        self.addCleanup(process.stop)
        wait_for_port(port)
        return f"postgresql://postgres@127.0.0.1:{port}/migrated"

    def check(self, url):
        store = open_store(url, self.directory)
        self.addCleanup(store.close)
        store.check()

    def test_sessions_are_pooled(self):
        self.check(self.pool("session", _IGNORED))

    def test_transactions_are_pooled(self):
        self.patch(postgres, "_NOTICE_SECONDS", 1.0)
        error = self.assertRaises(StateUnusable, self.check, self.pool("transaction", _IGNORED))
        self.assertIn("set pool_mode = session", str(error))

    def test_settings_of_a_session_are_refused(self):
        error = self.assertRaises(StateUnusable, self.check, self.pool("session"))
        self.assertIn("ignore_startup_parameters = options", str(error))

    def test_without_a_pooler(self):
        self.check(self.url)

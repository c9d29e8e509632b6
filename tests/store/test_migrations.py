"""The migrations lead from nothing to what schema.py says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import ENVIRONMENT, PATIENCE
from tests.store.databases import EmptyPostgresCase, EmptySQLiteCase
from tunnelcloud.store.migrate import MIGRATIONS, alembic_config, known_revisions
from tunnelcloud.store.schema import metadata
from tunnelcloud.store.sqlite import FILE_NAME


class KnownRevisionTests(SynchronousTestCase):
    """What the names of the files say is what Alembic reads in them."""

    def test_the_order_is_alembics(self):
        scripts = ScriptDirectory(str(MIGRATIONS))
        oldest_first = [script.revision for script in scripts.walk_revisions()][::-1]
        self.assertEqual(list(known_revisions()), oldest_first)


class ApartTests(SynchronousTestCase):
    def open_apart(self, directory):
        """Open a database in a process of its own; give what of Alembic that has loaded then."""
        program = (
            "import sys; from pathlib import Path\n"
            "from tunnelcloud.store.upgrading import upgrade_apart\n"
            "from tunnelcloud.store.engine import open_store\n"
            "from tunnelcloud.store import users\n"
            f"where = Path({str(directory)!r})\n"
            "upgrade_apart('sqlite', where)\n"
            "open_store('sqlite', where).close()\n"
            "print([name for name in sys.modules if name.startswith('alembic')])"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=ENVIRONMENT,
            check=False,
        )
        return done.stdout.strip() or done.stderr

    def test_alembic_goes_with_the_child(self):
        directory = Path(self.mktemp()).absolute()
        self.assertEqual(self.open_apart(directory), "[]")
        self.assertEqual(self.open_apart(directory), "[]")

    def test_one_that_is_behind_is_brought_up_to_date(self):
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        (directory / FILE_NAME).touch(mode=0o600)
        engine = create_engine(f"sqlite:///{directory / FILE_NAME}")
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), known_revisions()[0])
        engine.dispose()
        (directory / FILE_NAME).chmod(0o600)
        self.assertEqual(self.open_apart(directory), "[]")


class MigrationContract:
    def test_migrated_from_nothing_it_is_the_schema(self):
        store = self.open()

        def compare(transaction):
            context = MigrationContext.configure(
                transaction.connection, opts={"compare_type": True}
            )
            return compare_metadata(context, metadata)

        self.assertEqual(store.read(compare), [])

    def test_constraints_are_as_the_schema_says(self):
        store = self.open()

        def described(transaction):
            inspector = inspect(transaction.connection)
            return {
                table.name: (
                    {
                        (one["constrained_columns"][0], one["options"].get("ondelete"))
                        for one in inspector.get_foreign_keys(table.name)
                    },
                    {one["name"] for one in inspector.get_check_constraints(table.name)},
                )
                for table in metadata.tables.values()
            }

        found = store.read(described)
        for table in metadata.tables.values():
            keys = {(key.parent.name, key.ondelete) for key in table.foreign_keys}
            self.assertEqual(found[table.name][0], keys, table.name)
        self.assertEqual(found["assignments"][1], {"ck_assignments_one_entity"})


class SQLiteMigrationTests(MigrationContract, EmptySQLiteCase):
    pass


class PostgresMigrationTests(MigrationContract, EmptyPostgresCase):
    pass

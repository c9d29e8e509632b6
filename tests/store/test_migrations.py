"""The migrations lead from nothing to what schema.py says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.exc import IntegrityError
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import ENVIRONMENT, PATIENCE
from tests.store.databases import EmptyPostgresCase, EmptySQLiteCase
from tunnelcloud.domain.objects import KINDS
from tunnelcloud.store import sites
from tunnelcloud.store.constraint_errors import explain_integrity_error
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import OthersAtWork, StateIsNewer, StateUnusable
from tunnelcloud.store.migrate import MIGRATIONS, WORKS_SINCE, alembic_config, known_revisions
from tunnelcloud.store.schema import metadata
from tunnelcloud.store.sqlite_files import FILE_NAME

BEFORE_FOLDED = "0010"
"""The version before names were kept in lower case by the database itself."""


class KnownRevisionTests(SynchronousTestCase):
    """What the names of the files say is what Alembic reads in them."""

    def test_the_order_is_alembics(self):
        scripts = ScriptDirectory(str(MIGRATIONS))
        oldest_first = [script.revision for script in scripts.walk_revisions()][::-1]
        self.assertEqual(list(known_revisions()), oldest_first)

    def test_what_a_database_works_with_is_one_of_them(self):
        self.assertLessEqual(set(WORKS_SINCE.values()), set(known_revisions()))


_TAKES_AWAY = {"drop_table", "drop_column", "rename_table", "drop_index", "drop_constraint"}
_WORDS = re.compile(r"\b(DROP|RENAME|TRUNCATE)\b", re.IGNORECASE)


def calls_of(path):
    """Give the calls in a migration: the function's name, and the call."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", "")), node


def given(call):
    """Give the constants that a call is given by name."""
    return {one.arg: getattr(one.value, "value", True) for one in call.keywords}


def faults_of(path):
    """Say what in a migration programs of the release before would stumble over."""
    for name, call in calls_of(path):
        words = given(call)
        if name in _TAKES_AWAY or "new_column_name" in words:
            yield f"{path.name}:{call.lineno}: {name} takes away what they use"
        texts = [one.value for one in ast.walk(call) if isinstance(one, ast.Constant)]
        if name in ("execute", "text", "exec_driver_sql"):
            found = [one for one in texts if isinstance(one, str) and _WORDS.search(one)]
            yield from (f"{path.name}:{call.lineno}: {one}" for one in found)
        if name == "add_column":
            [column] = [one for one in call.args if isinstance(one, ast.Call)]
            how = given(column)
            if how.get("nullable", True) is False and "server_default" not in how:
                yield f"{path.name}:{call.lineno}: they write no value into the column"


ON_SQLITE_ALONE = {"r0021_short_ids.py"}
"""Beside a pod on SQLite no other one works: the way back is a backup."""


class ExpandingTests(SynchronousTestCase):
    """Migrations since the last release only add; the release after may take away."""

    def test_nothing_is_taken_away_that_programs_of_before_use(self):
        later = [
            one
            for one in MIGRATIONS.glob("versions/r*.py")
            if one.name[1:5] > WORKS_SINCE["postgresql"] and one.name not in ON_SQLITE_ALONE
        ]
        self.assertGreater(len(later), 0)
        self.assertEqual([fault for path in later for fault in faults_of(path)], [])

    def test_what_takes_away_is_found(self):
        path = Path(self.mktemp())
        path.write_text(
            "op.drop_column('a', 'b')\n"
            "op.alter_column('a', 'b', new_column_name='c')\n"
            "op.execute('ALTER TABLE a RENAME TO b')\n"
            "op.add_column('a', sa.Column('b', sa.Text(), nullable=False))\n"
            "op.add_column('a', sa.Column('b', sa.Text(), nullable=False, server_default=''))\n"
            "op.add_column('a', sa.Column('b', sa.Text(), nullable=True))\n"
        )
        self.assertEqual(len(list(faults_of(path))), 4)


class BesideOthersTests(EmptyPostgresCase):
    """A pod of a newer version that starts while others work with the database."""

    def setUp(self):
        super().setUp()
        engine = create_engine(make_url(self.url).set(drivername="postgresql+psycopg"))
        self.addCleanup(engine.dispose)
        self.before = known_revisions()[-2]
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), self.before)
        self.engine = engine

    def enter(self, name, seconds_ago=0.0, stopped=None):
        now = time.time() * 1000
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO pods (id, name, version, started_at, last_seen_at, stopped_at, "
                    "ssh_address, connectors_address, draining) VALUES "
                    "(:name, :name, '1', 0, :seen, :stopped, 'x:1', 'x:2', false)"
                ),
                {"name": name, "seen": now - seconds_ago * 1000, "stopped": stopped},
            )

    def revision(self):
        with self.engine.connect() as connection:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def start(self):
        open_store(self.url, self.directory, beside="pod-1").close()

    def test_it_says_the_command_and_changes_nothing(self):
        self.enter("pod-2")
        self.enter("pod-3")
        error = self.assertRaises(OthersAtWork, self.start)
        self.assertIn("other pods work with it: pod-2, pod-3", str(error))
        self.assertIn("tunnelcloud db upgrade", str(error))
        self.assertEqual(self.revision(), self.before)
        open_store(self.url, self.directory).close()
        self.assertEqual(self.revision(), known_revisions()[-1])
        self.start()

    def test_alone_it_migrates(self):
        self.enter("pod-1")
        self.enter("pod-2", stopped=1)
        self.enter("pod-3", seconds_ago=31)
        self.start()
        self.assertEqual(self.revision(), known_revisions()[-1])


UNUSED = ("alembic", "segno", "sqlalchemy.dialects.postgresql", "twisted.mail.smtp")
"""What a pod on SQLite has no use for, or seldom: it isn't loaded before somebody needs it."""


class ApartTests(SynchronousTestCase):
    def open_apart(self, directory, also="sys"):
        """Open a database in a process of its own; give what it has loaded of ``UNUSED``.

        :param also: a module to import as well.
        """
        program = (
            f"import sys; from pathlib import Path; import {also}\n"
            "from tunnelcloud.store.migration_in_child import migrate_in_child\n"
            "from tunnelcloud.store.engine import open_store\n"
            "from tunnelcloud.store import users\n"
            f"where = Path({str(directory)!r})\n"
            "migrate_in_child('sqlite', where)\n"
            "open_store('sqlite', where).close()\n"
            f"print([name for name in {UNUSED} if name in sys.modules])"
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
        # The whole program, on a database that is up to date.
        self.assertEqual(self.open_apart(directory, also="tunnelcloud.pod.starting"), "[]")

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
    def newer(self, works_since):
        """Make the database that of a later version."""
        store = self.open()

        def pretend(transaction):
            run = transaction.connection.execute
            run(text("UPDATE alembic_version SET version_num = '9999'"))
            is_sqlite = transaction.connection.dialect.name == "sqlite"
            said = text(
                f"PRAGMA user_version = {works_since or 0}"
                if is_sqlite
                else f"COMMENT ON TABLE alembic_version IS '{works_since or ''}'"
            )
            run(said)

        store.write(pretend)
        store.close()

    def test_a_database_says_with_what_it_works(self):
        def ask(transaction):
            database = transaction.connection.dialect.name
            query = "SELECT obj_description('alembic_version'::regclass, 'pg_class')"
            asked = transaction.connection.exec_driver_sql(
                "PRAGMA user_version" if database == "sqlite" else query
            )
            return database, int(asked.scalar())

        database, said = self.open().read(ask)
        self.assertEqual(said, int(WORKS_SINCE[database]))

    def test_a_program_of_the_release_before_starts(self):
        self.newer(known_revisions()[-1])
        store = self.open()
        store.write(sites.create, name="paris")

    def test_a_program_that_is_too_old_does_not(self):
        self.newer("9998")
        self.assertRaises(StateIsNewer, self.open)

    def test_a_later_version_that_says_nothing_is_too_new(self):
        self.newer(None)
        self.assertRaises(StateIsNewer, self.open)

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
        checks = {
            name
            for _, names in found.values()
            for name in names
            if not name.endswith("_folded")  # PostgreSQL's; SQLite has triggers for them
        }
        self.assertEqual(checks, {"ck_assignments_one_entity"})


class FoldedContract:
    """Names by which things are found are in lower case: the database itself sees to that."""

    def at(self, revision):
        """Give a connection to a database of an older version."""
        engine = self.engine()
        self.addCleanup(engine.dispose)
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), revision)
        return engine

    def make_site(self, engine, name, number):
        with engine.begin() as connection:
            connection.execute(
                text("INSERT INTO sites (id, created_at, name, title) VALUES (:id, 0, :name, '')"),
                {"id": f"sit_{number:026}", "name": name},
            )

    def names(self, engine):
        with engine.connect() as connection:
            return sorted(connection.execute(text("SELECT name FROM sites")).scalars())

    def test_what_is_alike_is_named_and_nothing_is_lost(self):
        engine = self.at(BEFORE_FOLDED)
        for number, name in enumerate(("Paris", "paris", "PARIS", "rome")):
            self.make_site(engine, name, number)
        error = self.assertRaises(StateUnusable, self.open)
        for words in (
            "the upgrade has changed nothing",
            f"the name of sites 'PARIS' (sit_{2:026}) and 'Paris' (sit_{0:026}) and 'paris'",
            "start the version before this one, give all but one of them another name",
        ):
            self.assertIn(words, str(error))
        self.assertNotIn("rome", str(error))
        self.assertEqual(self.names(engine), ["PARIS", "Paris", "paris", "rome"])
        with engine.begin() as connection:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            self.assertEqual(found, BEFORE_FOLDED)
            connection.execute(text("UPDATE sites SET name = 'p2' WHERE name = 'PARIS'"))
            connection.execute(text("UPDATE sites SET name = 'p1' WHERE name = 'Paris'"))
        self.open().close()
        self.assertEqual(self.names(engine), ["p1", "p2", "paris", "rome"])

    def test_when_users_signed_in_is_taken_from_the_audit(self):
        engine = self.at("0016")
        with engine.begin() as connection:
            for name in ("alice", "bob"):
                connection.execute(
                    text(
                        "INSERT INTO users (id, created_at, name, title, role, blocked, service) "
                        "VALUES (:name, 0, :name, '', 'user', false, false)"
                    ),
                    {"name": name},
                )
            for at, event in [(5, "web_login.succeeded"), (7, "web_login.succeeded"), (9, "x")]:
                connection.execute(
                    text(
                        "INSERT INTO audit (id, at, event, actor, user_id, data) "
                        "VALUES (:id, :at, :event, '', 'alice', '{}')"
                    ),
                    {"id": f"evt_{at:026}", "at": at, "event": event},
                )
        self.open().close()
        with engine.connect() as connection:
            found = connection.execute(text("SELECT name, last_seen_at FROM users ORDER BY name"))
            self.assertEqual([tuple(row) for row in found], [("alice", 7), ("bob", None)])

    def test_what_is_not_alike_is_folded(self):
        engine = self.at(BEFORE_FOLDED)
        self.make_site(engine, "Paris", 1)
        self.make_site(engine, "rome", 2)
        self.open().close()
        self.assertEqual(self.names(engine), ["paris", "rome"])

    def test_each_name_of_each_kind_is_kept_so(self):
        """A new kind, or another column that things are found by, needs a check of its own."""
        engine = self.engine()
        self.addCleanup(engine.dispose)
        self.open().close()
        found = [(kind.plural.replace("-", "_"), "name") for kind in KINDS.values()]
        found += [("user_names", "name"), ("users", "email"), ("tunnels", "external_address")]
        for table, column in found:
            error = self.assertRaises(IntegrityError, self.insert_upper, engine, table, column)
            self.assertIn(f"ck_{table}_{column}_folded", str(error))
            said = str(explain_integrity_error(error))
            self.assertIn("if other pods run a newer TunnelCloud", said)

    def insert_upper(self, engine, table, column):
        """Insert a row whose only fault is one name."""
        row = {}
        for one in metadata.tables[table].c:
            filler = {"BIGINT": 0, "INTEGER": 0, "BOOLEAN": False}.get(str(one.type.compile()), "x")
            row[one.name] = "Upper" if one.name == column else filler
        columns = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        with engine.begin() as connection:
            self.without_references(connection)
            connection.execute(
                text(f"INSERT INTO {table} ({columns}) VALUES ({values})"),
                row,
            )


class SQLiteFoldedTests(FoldedContract, EmptySQLiteCase):
    def engine(self):
        (self.directory / FILE_NAME).touch(mode=0o600)
        return create_engine(f"sqlite:///{self.directory / FILE_NAME}")

    def without_references(self, connection):
        """SQLite looks at references only where it is told to."""


class PostgresFoldedTests(FoldedContract, EmptyPostgresCase):
    def engine(self):
        return create_engine(make_url(self.url).set(drivername="postgresql+psycopg"))

    def without_references(self, connection):
        connection.execute(text("SET LOCAL session_replication_role = replica"))


class SQLiteMigrationTests(MigrationContract, EmptySQLiteCase):
    pass


class PostgresMigrationTests(MigrationContract, EmptyPostgresCase):
    pass

"""Backups, and their restoring."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from contextlib import closing
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError

from tests.store.copies import fill, names_in, rows_of, secret
from tests.store.databases import EmptyPostgresCase, EmptySQLiteCase, PostgresCase, SQLiteCase
from tests.store.material import events_of, login
from tunnelcloud.domain.approvals import RequestStatus
from tunnelcloud.store import (
    approvals,
    database_copying,
    invitations,
    row_copying,
    second_factors,
    sites,
    sqlite_files,
    timed_grants,
    tokens,
)
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import GivenUp, StateUnusable
from tunnelcloud.store.migrate import alembic_config, known_revisions
from tunnelcloud.store.snapshots import file_engine, snapshot
from tunnelcloud.store.sqlite_files import FILE_NAME, new_file


def small_file_engine(path, mode):
    """Connect to a file as on a disk that is full before long."""
    engine = file_engine(path, mode)
    event.listen(
        engine, "connect", lambda driver, _: driver.execute("PRAGMA max_page_count=20").close()
    )
    return engine


def named(descriptor):
    return Path(f"/proc/self/fd/{descriptor}").readlink().name


def shrinks(transaction):
    """Tell how a SQLite file gives its free pages back; 2 is step by step."""
    return transaction.connection.exec_driver_sql("PRAGMA auto_vacuum").scalar()


class CopyingContract:
    """What holds for a database of either kind."""

    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.world = self.store.write(fill)
        self.told = []
        self.away = Path(self.mktemp())
        self.away.mkdir()
        self.file = self.away / "backup"

    def tell(self, table, count):
        self.told.append((table, count))

    def back_up(self):
        database_copying.back_up(self.url, self.directory, self.file, self.tell, Fate())

    def test_a_backup_has_every_row_while_the_pod_goes_on(self):
        before = self.store.read(rows_of)
        self.back_up()
        self.assertEqual(dict(self.told), before)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(names_in(self.away), [self.file.name])
        self.store.write(sites.create, name="later")

    def test_a_restored_backup_is_the_same_but_for_what_is_good_once(self):
        before = self.store.read(rows_of)
        self.back_up()
        restored = self.restore()
        after = restored.read(rows_of)
        gone = {"web_sessions", "sign_in_steps", "device_logins"}
        changed = {name for name in before if before[name] != after[name]}
        self.assertEqual(changed - gone, {"audit"})
        self.assertEqual([after[name] for name in gone], [0, 0, 0])
        self.assertEqual(restored.read(events_of).count("database.restored"), 1)
        self.assertEqual(restored.read(shrinks), 2)
        for text in ("spent", "fresh"):
            self.assertIsNone(restored.write(tokens.spend, secret(text), login()).session, text)
        self.assertIsNone(restored.read(invitations.peek, secret("link")))
        alice = self.world.alice.id
        used = restored.write(second_factors.spend_recovery_code, alice, secret("recovery"))
        self.assertFalse(used)
        self.assertEqual(restored.read(timed_grants.live, [alice]), {})
        waiting = restored.read(approvals.list_requests, status=RequestStatus.PENDING)
        self.assertEqual(waiting.items, ())

    def test_it_restores_into_an_empty_database_only(self):
        self.back_up()
        self.assertRaises(
            StateUnusable,
            database_copying.restore,
            self.file,
            self.url,
            self.directory,
            self.tell,
            Fate(),
        )

    def test_a_file_that_is_there_is_kept(self):
        self.file.write_text("kept")
        self.assertRaises(StateUnusable, self.back_up)
        self.assertEqual(self.file.read_text(), "kept")

    def test_a_failed_backup_leaves_no_file(self):
        self.patch(row_copying, "_sum", lambda *_: self.told.append(1) or (len(self.told), 0))
        error = self.assertRaises(StateUnusable, self.back_up)
        self.assertIn("came out different", str(error))
        self.assertEqual(names_in(self.away), [])

    def test_what_is_no_backup(self):
        self.file.write_text("no backup at all\n" * 500)
        target = self.away / "state"
        target.mkdir()
        error = self.assertRaises(
            StateUnusable, database_copying.restore, self.file, "sqlite", target, self.tell, Fate()
        )
        self.assertIn("not a database", str(error))
        self.assertEqual(names_in(target), [])

    def test_a_backup_that_is_given_up_leaves_no_file(self):
        fate = Fate()
        error = self.assertRaises(
            GivenUp,
            database_copying.back_up,
            self.url,
            self.directory,
            self.file,
            lambda *_: fate.give_up(),
            fate,
        )
        self.assertIn("nothing was changed", str(error))
        self.assertEqual(names_in(self.away), [])

    def restore(self):
        target = self.away / "state"
        target.mkdir(mode=0o700)
        database_copying.restore(self.file, "sqlite", target, self.tell, Fate())
        store = open_store("sqlite", target)
        self.addCleanup(store.close)
        return store


class BackupTests(SQLiteCase):
    """What a backup that fails says and leaves."""

    def setUp(self):
        super().setUp()
        self.away = self.directory / "away"
        self.away.mkdir()
        self.file = self.away / "backup"

    def back_up(self):
        database_copying.back_up("sqlite", self.directory, self.file, lambda *_: None, Fate())

    def test_root_s_backup_is_not_given_to_whose_directory_it_is_in(self):
        given = []
        self.patch(sqlite_files, "_is_for_another", lambda _: True)
        self.patch(sqlite_files.os, "fchown", lambda one, *_: given.append(named(one)))
        self.back_up()
        self.assertTrue(self.file.exists())
        self.assertEqual(given, [])

    def test_it_tells_how_far_it_is(self):
        store = self.open()
        for name in ("paris", "rome", "oslo"):
            store.write(sites.create, name=name)
        self.patch(row_copying, "_ROWS", 2)
        told = []
        database_copying.back_up(
            "sqlite", self.directory, self.file, lambda *one: told.append(one), Fate()
        )
        self.assertEqual([rows for table, rows in told if table == "sites"], [2, 3, 3])

    def test_a_full_disk_leaves_no_file(self):
        self.patch(database_copying, "file_engine", small_file_engine)
        error = self.assertRaises(StateUnusable, self.back_up)
        self.assertEqual(str(error), f"{self.file}: database or disk is full")
        self.assertEqual(names_in(self.away), [])

    def test_a_limit_on_files_is_named(self):
        """The system says EFBIG, and SQLite nothing but an I/O error."""

        def refuse(*_):
            broken = sqlite3.OperationalError("disk I/O error")
            broken.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
            raise OperationalError("", {}, broken)

        self.patch(database_copying, "copy_rows", refuse)
        error = self.assertRaises(StateUnusable, self.back_up)
        self.assertIn(f"{self.file}: disk I/O error: look for quotas and limits", str(error))
        self.assertEqual(names_in(self.away), [])

    def test_a_place_that_can_t_be(self):
        (self.away / "plain").touch()
        self.file = self.away / "plain" / "backup"
        error = self.assertRaises(StateUnusable, self.back_up)
        self.assertIn(f"{self.away}/plain", str(error))


class RestoreTests(SQLiteCase):
    """What a restore leaves in the state directory, however it ends."""

    def setUp(self):
        super().setUp()
        store = self.open()
        store.write(sites.create, name="paris")
        store.close()
        self.file = self.directory / "backup"
        database_copying.back_up("sqlite", self.directory, self.file, lambda *_: None, Fate())
        self.state = self.directory / "state"
        self.state.mkdir(mode=0o700)
        self.seen = set()

    def restore(self, fate=None, file=None):
        fate = fate or Fate()
        database_copying.restore(file or self.file, "sqlite", self.state, self.look, fate)

    def look(self, *_):
        self.seen.update(names_in(self.state))
        for path in self.state.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def whole(self):
        store = open_store("sqlite", self.state)
        self.addCleanup(store.close)
        return store.read(sites.SITES.find, "paris")

    def test_nothing_looks_like_a_database_before_it_is_whole(self):
        self.restore()
        self.assertIn(f"{FILE_NAME}.part", self.seen)
        self.assertNotIn(FILE_NAME, self.seen)
        self.assertTrue(self.whole())
        self.assertFalse([name for name in names_in(self.state) if ".part" in name])

    def test_nothing_of_it_is_elsewhere(self):
        self.patch(tempfile, "mkdtemp", None)
        self.patch(tempfile, "mkstemp", None)
        self.restore(file=self.older())
        self.assertIn(database_copying.UPGRADED, self.seen)
        self.assertTrue(self.whole())
        self.assertNotIn(database_copying.UPGRADED, names_in(self.state))

    def test_what_a_killed_restore_left_is_removed(self):
        for end in (".part", ".part-journal", ".part-wal"):
            (self.state / (FILE_NAME + end)).write_bytes(b"half" * 5000)
        for name in (database_copying.UPGRADED, f"{database_copying.UPGRADED}.part"):
            (self.state / name).write_bytes(b"half")
            (self.state / name).chmod(0o600)
        self.restore()
        self.assertTrue(self.whole())
        self.assertFalse([name for name in names_in(self.state) if ".part" in name])
        self.assertNotIn(database_copying.UPGRADED, names_in(self.state))

    def test_what_another_command_writes_is_left_alone(self):
        with new_file(self.state / FILE_NAME, given=True) as part:
            error = self.assertRaises(StateUnusable, self.restore)
            self.assertIn("another command writes it", str(error))
            self.assertTrue(part.exists())

    def test_what_belongs_to_the_database_before_is_not_taken_for_its_own(self):
        """SQLite would write the pages of the old one's log into the new one."""
        for end in ("-wal", "-journal"):
            path = self.state / (FILE_NAME + end)
            path.touch(mode=0o600)
            path.write_bytes(b"pages")
            error = self.assertRaises(StateUnusable, self.restore)
            self.assertIn(f"{path} is there already: move it away first", str(error))
            path.write_bytes(b"")
        self.restore()
        self.assertTrue(self.whole())

    def test_a_file_that_others_may_hold_is_not_written(self):
        part = self.state / f"{FILE_NAME}.part"
        part.touch(mode=0o600)
        (self.state / "second name").hardlink_to(part)
        error = self.assertRaises(StateUnusable, self.restore)
        self.assertIn("not a file of yours", str(error))
        part.unlink()
        part.symlink_to(self.state / "second name")
        self.assertRaises(StateUnusable, self.restore)
        self.assertEqual((self.state / "second name").read_bytes(), b"")

    def test_given_up_or_without_room_it_leaves_nothing(self):
        fate = Fate()
        fate.give_up()
        self.assertRaises(GivenUp, self.restore, fate)
        self.patch(database_copying, "file_engine", small_file_engine)
        error = self.assertRaises(StateUnusable, self.restore)
        self.assertIn("database or disk is full", str(error))
        self.assertEqual(names_in(self.state), ["tunnelcloud.lock"])

    def test_a_database_of_something_else(self):
        other = self.directory / "other"
        with closing(sqlite3.connect(other)) as database:
            database.execute("CREATE TABLE t (x)")
        error = self.assertRaises(StateUnusable, self.restore, file=other)
        self.assertIn("has no tables of TunnelCloud", str(error))

    def older(self):
        """Make a backup by a version before."""
        file = self.directory / "older"
        engine = create_engine(f"sqlite:///{file}")
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), known_revisions()[-2])
            row = "INSERT INTO sites (id, name, title, created_at) VALUES ('s', 'paris', '', 1)"
            connection.exec_driver_sql(row)
        engine.dispose()
        return file


class OwnerTests(SQLiteCase):
    """Root's commands leave the pod's own user what is theirs."""

    def setUp(self):
        super().setUp()
        self.patch(sqlite_files.os, "geteuid", lambda: 0)
        self.given = []
        self.patch(
            sqlite_files.os, "fchown", lambda one, *who: self.given.append((named(one), who))
        )
        found = self.directory.stat()
        self.owner = (found.st_uid or 4321, found.st_gid)
        if not found.st_uid:
            self.owner = (4321, 4321)
            os.chown(self.directory, *self.owner)

    def test_each_file(self):
        self.open().close()
        self.assertEqual(
            self.given,
            [("tunnelcloud.lock", self.owner), (FILE_NAME, self.owner)],
        )

    def test_a_link_is_not_followed(self):
        victim = self.directory / "victim"
        victim.touch(mode=0o600)
        (self.directory / "tunnelcloud.lock").symlink_to(victim)
        self.assertRaises(StateUnusable, self.open)
        (self.directory / "tunnelcloud.lock").unlink()
        (self.directory / "tunnelcloud.lock").hardlink_to(victim)
        self.open().close()
        self.assertEqual(self.given, [(FILE_NAME, self.owner)])


class SQLiteCopyingTests(CopyingContract, SQLiteCase):
    def test_a_pod_that_runs_is_not_moved(self):
        error = self.assertRaises(
            StateUnusable,
            database_copying.move,
            self.url,
            self.directory,
            "postgresql://x/y",
            self.tell,
            Fate(),
        )
        self.assertIn("in use by another pod", str(error))

    def test_a_stopped_pod_leaves_nothing_that_keeps_it_from_starting(self):
        self.store.close()
        self.back_up()
        beside = {path.name for path in self.directory.iterdir()}
        self.assertLessEqual(
            beside,
            {
                FILE_NAME,
                FILE_NAME.replace("sqlite3", "lock"),
                *(f"{FILE_NAME}-{end}" for end in ("wal", "shm")),
            },
        )
        for path in self.directory.iterdir():
            self.assertEqual(path.stat().st_uid, self.directory.stat().st_uid)
        open_store(self.url, self.directory).close()


class PostgresCopyingTests(CopyingContract, PostgresCase):
    def test_a_snapshot_may_pause(self):
        """No limit of the pods ends a copy while it reads what was written."""
        with snapshot(self.url, self.directory) as source:
            for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                self.assertEqual(source.exec_driver_sql(f"SHOW {name}").scalar_one(), "0")


class RestoreToPostgresTests(EmptyPostgresCase):
    def test_what_is_good_once_is_void(self):
        state = Path(self.mktemp())
        state.mkdir(mode=0o700)
        store = open_store("sqlite", state)
        store.write(fill)
        store.close()
        file = state / "backup"
        database_copying.back_up("sqlite", state, file, lambda *_: None, Fate())
        database_copying.restore(file, self.url, self.directory, lambda *_: None, Fate())
        restored = self.open()
        self.assertEqual(restored.read(events_of).count("database.restored"), 1)
        self.assertIsNone(restored.write(tokens.spend, secret("fresh"), login()).session)
        self.assertTrue(restored.read(sites.SITES.find, "paris"))


class EmptyTests(EmptySQLiteCase):
    def test_there_is_nothing_to_copy(self):
        for work in (
            lambda: database_copying.back_up(
                "sqlite", self.directory, self.directory / "b", None, Fate()
            ),
            lambda: database_copying.move(
                "sqlite", self.directory, "postgresql://x/y", None, Fate()
            ),
        ):
            error = self.assertRaises(StateUnusable, work)
            self.assertIn("there is no database", str(error))
        self.assertEqual(names_in(self.directory), [])

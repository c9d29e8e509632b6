"""Backups, their restoring, and the move of a database to another one."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from sqlalchemy import func, select

from tests.store.databases import (
    EmptyPostgresCase,
    EmptySQLiteCase,
    PostgresCase,
    SQLiteCase,
)
from tests.store.material import events_of, login, make_world
from tunnelcloud.store import copying, invitations, schema, sites, tokens, web_sessions
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import StateUnusable
from tunnelcloud.store.sqlite import FILE_NAME


def secret(text):
    return hashlib.sha256(text.encode()).digest()


def names_in(directory):
    return [path.name for path in directory.iterdir()]


def rows_of(transaction):
    """Give how many rows each table has."""
    return {
        table.name: transaction.connection.execute(
            select(func.count()).select_from(table)
        ).scalar_one()
        for table in schema.metadata.sorted_tables
    }


def fill(transaction):
    world = make_world(transaction)
    for name in ("spent", "fresh"):
        tokens.create(
            transaction, user_id=world.alice.id, secret_hash=secret(name), lifetime_seconds=600
        )
    tokens.spend(transaction, secret("spent"), login())
    invitations.create(
        transaction, user_id=world.alice.id, secret_hash=secret("link"), lifetime_seconds=600
    )
    web_sessions.create(
        transaction,
        user_id=world.alice.id,
        secret_hash=secret("web"),
        lifetime_seconds=3600,
        source_ip="192.0.2.1",
        user_agent="ü\u202e",
        method="password",
    )
    return world


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
        copying.back_up(self.url, self.directory, self.file, self.tell)

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
        for text in ("spent", "fresh"):
            self.assertIsNone(restored.write(tokens.spend, secret(text), login()).session, text)
        self.assertIsNone(restored.read(invitations.peek, secret("link")))

    def test_it_restores_into_an_empty_database_only(self):
        self.back_up()
        self.assertRaises(
            StateUnusable, copying.restore, self.file, self.url, self.directory, self.tell
        )

    def test_a_file_that_is_there_is_kept(self):
        self.file.write_text("kept")
        self.assertRaises(StateUnusable, self.back_up)
        self.assertEqual(self.file.read_text(), "kept")

    def test_a_failed_backup_leaves_no_file(self):
        self.patch(copying, "_sum", lambda *_: self.told.append(1) or (len(self.told), 0))
        error = self.assertRaises(StateUnusable, self.back_up)
        self.assertIn("came out different", str(error))
        self.assertEqual(names_in(self.away), [])

    def test_what_is_no_backup(self):
        self.file.write_text("no backup at all\n" * 500)
        target = self.away / "state"
        target.mkdir()
        error = self.assertRaises(
            StateUnusable, copying.restore, self.file, "sqlite", target, self.tell
        )
        self.assertIn("not a database", str(error))
        self.assertEqual(names_in(target), [])

    def restore(self):
        target = self.away / "state"
        target.mkdir(mode=0o700)
        copying.restore(self.file, "sqlite", target, self.tell)
        store = open_store("sqlite", target)
        self.addCleanup(store.close)
        return store


class SQLiteCopyingTests(CopyingContract, SQLiteCase):
    def test_a_pod_that_runs_is_not_moved(self):
        error = self.assertRaises(
            StateUnusable, copying.move, self.url, self.directory, "postgresql://x/y", self.tell
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
    pass


class MoveTests(EmptyPostgresCase):
    """From SQLite to PostgreSQL, and back."""

    def test_there_and_back(self):
        away = Path(self.mktemp())
        away.mkdir(mode=0o700)
        told = []
        store = open_store("sqlite", away)
        store.write(fill)
        before = store.read(rows_of)
        store.close()
        copying.move("sqlite", away, self.url, lambda *one: told.append(one))
        self.assertEqual(dict(told), before)
        moved = self.open()
        self.assertEqual(moved.read(rows_of), before)
        self.assertIsNotNone(moved.write(tokens.spend, secret("fresh"), login()).session)
        again = self.assertRaises(
            StateUnusable, copying.move, "sqlite", away, self.url, lambda *_: None
        )
        self.assertIn("isn't empty", str(again))
        moved.close()
        (away / FILE_NAME).unlink()
        copying.move(self.url, away, "sqlite", lambda *_: None)
        back = open_store("sqlite", away)
        self.addCleanup(back.close)
        self.assertEqual(back.read(rows_of)["tokens"], before["tokens"])


class EmptyTests(EmptySQLiteCase):
    def test_there_is_nothing_to_copy(self):
        for work in (
            lambda: copying.back_up("sqlite", self.directory, self.directory / "b", None),
            lambda: copying.move("sqlite", self.directory, "postgresql://x/y", None),
        ):
            error = self.assertRaises(StateUnusable, work)
            self.assertIn("there is no database", str(error))
        self.assertEqual(names_in(self.directory), [])

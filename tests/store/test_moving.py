"""The move of a database to another one."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect

from tests.store.copies import fill, names_in, rows_of, secret
from tests.store.databases import EmptyPostgresCase, PostgresCase
from tests.store.material import login
from tunnelcloud.store import database_copying, pods, sites, tokens
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import GivenUp, StateUnusable
from tunnelcloud.store.postgres import postgres_engine
from tunnelcloud.store.sqlite_files import FILE_NAME


class MovedAwayTests(PostgresCase):
    """A PostgreSQL database is moved while somebody starts pods."""

    def setUp(self):
        super().setUp()
        self.open().write(fill)
        self.state = Path(self.mktemp())
        self.state.mkdir(mode=0o700)

    def move(self, told, url="sqlite", fate=None):
        database_copying.move(self.url, self.state, url, told, fate or Fate())

    def test_a_pod_that_starts_meanwhile_is_told(self):
        refused = []

        def start(*_):
            if not refused:
                refused.append(self.assertRaises(StateUnusable, self.open))

        self.move(start)
        self.assertIn("is being moved to another one", str(refused[0]))
        self.open()

    def test_so_is_a_second_move(self):
        refused = []

        def again(*_):
            if not refused:
                refused.append(self.assertRaises(StateUnusable, self.move, None, self.url))

        self.move(again)
        self.assertIn("opens the database just now", str(refused[0]))

    def test_a_pod_that_used_it_all_the_same_ends_the_move(self):
        store = self.open()
        registration = pods.Registration("late", "0", "a:1", "a:2")

        def register(*_):
            store.write(pods.register, registration, shared=True)

        error = self.assertRaises(StateUnusable, self.move, register)
        self.assertIn("stop late first", str(error))
        self.assertNotIn(FILE_NAME, names_in(self.state))


class GivenUpMoveTests(EmptyPostgresCase):
    def test_nothing_is_left_in_the_new_database(self):
        state = Path(self.mktemp())
        state.mkdir(mode=0o700)
        store = open_store("sqlite", state)
        store.write(sites.create, name="paris")
        store.close()
        fate = Fate()

        def give_up(*_):
            fate.give_up()

        self.assertRaises(GivenUp, database_copying.move, "sqlite", state, self.url, give_up, fate)
        engine = postgres_engine(self.url)
        self.addCleanup(engine.dispose)
        self.assertEqual(inspect(engine).get_table_names(), [])


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
        database_copying.move("sqlite", away, self.url, lambda *one: told.append(one), Fate())
        self.assertEqual(dict(told), before)
        moved = self.open()
        self.assertEqual(moved.read(rows_of), before)
        self.assertIsNotNone(moved.write(tokens.spend, secret("fresh"), login()).session)
        again = self.assertRaises(
            StateUnusable, database_copying.move, "sqlite", away, self.url, lambda *_: None, Fate()
        )
        self.assertIn("isn't empty", str(again))
        moved.close()
        (away / FILE_NAME).unlink()
        database_copying.move(self.url, away, "sqlite", lambda *_: None, Fate())
        back = open_store("sqlite", away)
        self.addCleanup(back.close)
        self.assertEqual(back.read(rows_of)["tokens"], before["tokens"])

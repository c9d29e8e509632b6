"""Threads that work let the reactor's thread have Python's lock."""

import itertools
import sqlite3
import sys
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.store.databases import PostgresCase, SQLiteCase
from tunnelcloud import interpreter_lock
from tunnelcloud.interpreter_lock import (
    PAUSE_SECONDS,
    STEPS,
    SWITCH_SECONDS,
    WORK_SECONDS,
    Courtesy,
    politely,
    switch_often,
    take_apart,
)
from tunnelcloud.store import document_planning, postgres_connections, sqlite_connections
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.transaction import SYSTEM


class CourtesyTests(SynchronousTestCase):
    def setUp(self):
        self.worked = 100.0
        self.pauses = []
        self.now, self.looks = 0.0, 0
        self.courtesy = Courtesy(self.look, self.pauses.append, lambda: self.now)

    def look(self):
        self.looks += 1
        return self.worked

    def work(self, seconds, waited=0.0):
        self.worked += seconds
        self.now += seconds + waited
        self.courtesy.let_others_in()

    def test_a_thread_pauses_once_it_has_worked_for_a_while(self):
        for _ in range(99):
            self.work(WORK_SECONDS / 10)
        self.assertIn(len(self.pauses), (8, 9))
        self.assertEqual(set(self.pauses), {PAUSE_SECONDS})

    def test_a_short_piece_of_work_does_not_pause(self):
        self.work(WORK_SECONDS / 2)
        self.work(0)
        self.assertEqual(self.pauses, [])

    def test_a_thread_is_looked_at_only_once_it_can_have_worked_so_long(self):
        """To ask for a thread's time takes longer than most pieces of its work."""
        for _ in range(100):
            self.work(WORK_SECONDS / 100)
        self.assertLessEqual(self.looks, 4)

    def test_a_thread_that_waits_does_not_pause(self):
        for _ in range(9):
            self.work(WORK_SECONDS / 10, waited=1.0)
        self.assertEqual(self.pauses, [])
        self.work(WORK_SECONDS / 5)
        self.assertEqual(len(self.pauses), 1)


class Counted(SynchronousTestCase):
    """Counts how often others are let in."""

    def setUp(self):
        super().setUp()
        self.times = 0
        for module in (interpreter_lock, sqlite_connections, postgres_connections):
            self.patch(module, "let_others_in", self.let_in)

    def let_in(self):
        self.times += 1


class LoopTests(Counted):
    def test_others_are_let_in_between_the_steps_of_a_loop(self):
        self.assertEqual(list(politely(range(3 * STEPS))), list(range(3 * STEPS)))
        self.assertEqual(self.times, 3)

    def test_what_is_large_is_taken_apart_piece_by_piece(self):
        mapping, sequence = dict.fromkeys(range(2 * STEPS)), [0] * STEPS
        take_apart(mapping, sequence)
        self.assertEqual((mapping, sequence, self.times), ({}, [], 3))


class TurnTests(SynchronousTestCase):
    """Of the threads that work, one at a time competes with the reactor's."""

    def setUp(self):
        self.patch(interpreter_lock, "PATIENCE_SECONDS", 120)
        self.inside, self.most = [], 0

    def work(self, release):
        for _ in range(100):
            with interpreter_lock.in_turn():
                self.inside.append(1)
                self.most = max(self.most, len(self.inside))
                if release:
                    self.inside.pop()
                    with interpreter_lock.without_turn(), interpreter_lock.without_turn():
                        time.sleep(0)
                    self.inside.append(1)
                    self.most = max(self.most, len(self.inside))
                self.inside.pop()

    def run_threads(self, release):
        threads = [threading.Thread(target=self.work, args=(release,)) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(120)
        self.assertEqual((self.most, self.inside), (1, []))

    def test_one_works_at_a_time(self):
        self.run_threads(release=False)

    def test_who_waits_for_something_else_leaves_the_turn_to_others(self):
        self.run_threads(release=True)

    def test_a_thread_without_the_turn_has_none_to_leave(self):
        with interpreter_lock.without_turn():
            pass
        with interpreter_lock.in_turn():
            pass

    def test_a_thread_that_has_the_turn_keeps_it_until_its_work_is_done(self):
        with interpreter_lock.in_turn():
            with interpreter_lock.in_turn():
                pass
            self.assertTrue(interpreter_lock._turn.locked())
        self.assertFalse(interpreter_lock._turn.locked())

    def test_nobody_waits_long_for_a_thread_that_is_stuck(self):
        self.patch(interpreter_lock, "PATIENCE_SECONDS", 0.001)
        done = []

        def work():
            with interpreter_lock.in_turn(), interpreter_lock.without_turn():
                done.append(1)

        with interpreter_lock.in_turn():
            in_a_thread(work)
            self.assertEqual(done, [1])
            in_a_thread(work)
        self.assertEqual(done, [1, 1])
        self.assertTrue(interpreter_lock._turn.acquire(blocking=False))
        interpreter_lock._turn.release()

    def test_an_error_gives_the_turn_back(self):
        with self.assertRaises(ZeroDivisionError), interpreter_lock.in_turn():
            raise ZeroDivisionError
        with (
            self.assertRaises(ZeroDivisionError),
            interpreter_lock.in_turn(),
            interpreter_lock.without_turn(),
        ):
            raise ZeroDivisionError
        with interpreter_lock.in_turn():
            pass

    def test_a_pause_leaves_the_turn_to_others(self):
        taken = []

        def sleep(_):
            with interpreter_lock.in_turn():
                taken.append(1)

        worked, clock = itertools.count(), itertools.count()
        courtesy = Courtesy(
            lambda: next(worked), lambda _: in_a_thread(lambda: sleep(0)), lambda: next(clock)
        )
        with interpreter_lock.in_turn():
            courtesy.let_others_in()
        self.assertEqual(taken, [1])


def in_a_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(120)


class ConnectionTests(Counted):
    def setUp(self):
        super().setUp()
        self.connection = sqlite3.connect(":memory:", factory=sqlite_connections.PoliteConnection)
        self.addCleanup(self.connection.close)
        self.connection.execute("CREATE TABLE things (number INTEGER)")
        rows = [(number,) for number in range(4 * STEPS)]
        self.connection.cursor().executemany("INSERT INTO things VALUES (?)", rows)
        self.times = 0

    def test_what_sqlite_does_needs_no_turn(self):
        """Another thread works while a statement runs, and between the rows that it gives."""
        free = []

        def look():
            free.append(interpreter_lock._turn.acquire(blocking=False))
            if free[-1]:
                interpreter_lock._turn.release()
            return 1

        self.connection.create_function("look", 0, look)
        with interpreter_lock.in_turn():
            self.connection.execute("SELECT look() FROM things").fetchall()
            self.connection.execute("SELECT look()").fetchone()
        self.assertEqual(len(free), 4 * STEPS + 1)
        self.assertTrue(all(free))

    def test_others_are_let_in_before_each_statement(self):
        for _ in range(5):
            self.connection.execute("SELECT 1")
            self.connection.cursor().execute("SELECT 1")
        self.assertEqual(self.times, 10)

    def test_others_are_let_in_between_rows(self):
        found = self.connection.execute("SELECT number FROM things").fetchall()
        self.assertEqual(found, [(number,) for number in range(4 * STEPS)])
        self.assertEqual(self.times, 5)

    def test_others_are_let_in_between_rows_that_are_read_singly(self):
        cursor = self.connection.execute("SELECT number FROM things")
        while cursor.fetchone():
            pass
        self.assertEqual(self.times, 2 + 4 * STEPS)


class EngineTests(SQLiteCase):
    """Each connection to SQLite that a pod's threads use is such a one."""

    def test_every_connection_is_polite(self):
        backend = self.open().backend
        for engine in (backend._writer, backend._readers, document_planning._scratch()):
            with engine.connect() as connection:
                driver = connection.connection.driver_connection
                self.assertIsInstance(driver, sqlite_connections.PoliteConnection)


class PostgresTests(Counted, PostgresCase):
    """What a pod does with PostgreSQL's answers is done in turns, as what it does with SQLite's."""

    def setUp(self):
        super().setUp()
        self.store = self.open()

    def turn_is_free(self):
        if free := interpreter_lock._turn.acquire(blocking=False):
            interpreter_lock._turn.release()
        return free

    def test_reads_and_writes_have_the_turn(self):
        def look(transaction):
            return self.turn_is_free()

        self.assertFalse(self.store.read_soon(look).result(60))
        self.assertFalse(self.store.backend.write_soon(SYSTEM, look, Fate()).result(60))
        self.assertTrue(self.turn_is_free())

    def test_who_waits_for_the_server_leaves_the_turn_to_others(self):
        begun = threading.Event()

        def work(transaction):
            begun.set()
            transaction.connection.exec_driver_sql("SELECT pg_sleep(0.5)")

        reading = self.store.read_soon(work)
        begun.wait(60)
        found = []
        while not reading.done():
            found.append(self.turn_is_free())
        self.assertIn(True, found)

    def test_others_are_let_in_between_rows(self):
        wanted = [(number,) for number in range(1, 4 * STEPS + 1)]
        query = f"SELECT generate_series(1, {4 * STEPS})"

        def work(transaction):
            self.times = 0
            found = transaction.connection.exec_driver_sql(query).all()
            together, self.times = self.times, 0
            singly = list(transaction.connection.exec_driver_sql(query))
            for rows in (found, singly):
                self.assertEqual([tuple(row) for row in rows], wanted)
            return together, self.times

        together, singly = self.store.read(work)
        self.assertEqual(together, 4)
        self.assertGreaterEqual(singly, 4)


class SwitchingTests(SynchronousTestCase):
    def test_the_interpreter_is_handed_over_soon(self):
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        switch_often()
        self.assertAlmostEqual(sys.getswitchinterval(), SWITCH_SECONDS)

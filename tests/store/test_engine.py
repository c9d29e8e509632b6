"""One function, one transaction: on both databases."""

from __future__ import annotations

import stat
import threading

import attrs
from sqlalchemy import text

from tests.store.databases import EmptyPostgresCase, EmptySQLiteCase
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.net.round_robin import CAUSER
from tunnelcloud.store import audit, sites
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.errors import NotFound, StateIsNewer, StateUnusable, StoreUnavailable
from tunnelcloud.store.transaction import SYSTEM, Actor, Change, Transaction


class Boom(Exception):
    pass


def make_two_then_fail(transaction: Transaction) -> None:
    sites.create(transaction, name="first")
    sites.create(transaction, name="second")
    raise Boom


def become_newer(transaction: Transaction) -> None:
    """Make the database that of a version with which no earlier one works."""
    run = transaction.connection.exec_driver_sql
    run("UPDATE alembic_version SET version_num = '9999'")
    if transaction.connection.dialect.name == "sqlite":
        run("PRAGMA user_version = 9999")
    else:
        run("COMMENT ON TABLE alembic_version IS '9999'")


class EngineContract:
    def test_what_a_function_writes_is_there_for_the_next(self):
        store = self.open()
        site = store.write(sites.create, name="paris", title="Paris ☕")
        self.assertEqual(store.read(sites.get, site.id), site)
        self.assertEqual(store.read(sites.SITES.find, "paris"), site)

    def test_a_function_that_raises_leaves_nothing(self):
        store = self.open()
        heard = []
        store.backend.listen(heard.append)
        self.assertRaises(Boom, store.write, make_two_then_fail)
        self.assertRaises(NotFound, store.read, sites.SITES.find, "first")
        self.assertEqual(store.read(audit.list_page).items, ())
        self.assertEqual(heard, [])
        store.write(sites.create, name="first")

    def test_who_asks_for_much_keeps_nobody_from_reading(self):
        store, go_on = self.open(), threading.Event()
        self.addCleanup(CAUSER.set, CAUSER.get())

        def read_as(causer, work):
            CAUSER.set(causer)
            return store.read_soon(lambda _: work())

        slow = [read_as("greedy", lambda: go_on.wait(30)) for _ in range(20)]
        for causer in ("modest", ""):
            self.assertEqual(read_as(causer, lambda: "read").result(10), "read")
        given_up = slow.pop()
        self.assertTrue(given_up.cancel())
        go_on.set()
        self.assertEqual([one.result(30) for one in slow], [True] * 19)

    def test_who_asks_for_much_keeps_nobody_from_writing(self):
        store, begun, go_on, written = self.open(), threading.Event(), threading.Event(), []
        self.addCleanup(CAUSER.set, CAUSER.get())

        def write_as(causer, name):
            def work(transaction):
                begun.set()
                if causer == "greedy":
                    go_on.wait(30)
                written.append(name)

            CAUSER.set(causer)
            return store.backend.write_soon(SYSTEM, work, Fate())

        greedy = [write_as("greedy", number) for number in range(20)]
        begun.wait(30)
        others = [write_as("modest", "a"), write_as("", "b"), write_as("", "c")]
        if self.url == "sqlite":
            go_on.set()
        # PostgreSQL has threads for others all the time.
        for one in others:
            one.result(30)
        go_on.set()
        for one in greedy:
            one.result(30)
        if self.url == "sqlite":
            # With the first goes the next of each causer.
            self.assertEqual(written[:5], [0, 1, "a", "b", "c"])
            self.assertEqual(written[5:], list(range(2, 20)))

    def test_what_waits_is_written_before_the_store_is_closed(self):
        store, written = self.open(), []
        self.addCleanup(CAUSER.set, CAUSER.get())
        CAUSER.set("alice")
        writes = [
            store.backend.write_soon(SYSTEM, lambda _, n=number: written.append(n), Fate())
            for number in range(50)
        ]
        store.close()
        self.assertEqual([one.exception(0) for one in writes], [None] * 50)
        self.assertEqual(sorted(written), list(range(50)))

    def test_nothing_that_waits_is_read_once_the_store_is_closed(self):
        store, begun, go_on = self.open(), threading.Event(), threading.Event()
        self.addCleanup(CAUSER.set, CAUSER.get())
        CAUSER.set("alice")

        def work(_):
            begun.set()
            return go_on.wait(30)

        reads = [store.read_soon(work) for _ in range(20)]
        begun.wait(30)
        closing = threading.Thread(target=store.close)
        closing.start()
        while not reads[-1].cancelled():
            self.assertTrue(closing.is_alive())
        go_on.set()
        closing.join()
        self.assertTrue(reads[0].result(0))
        self.failureResultOf_future(store.read_soon(work), StoreUnavailable)

    def test_listeners_hear_after_the_commit(self):
        store = self.open()
        heard = []
        store.backend.listen(
            lambda committed: heard.append((committed, store.read(sites.SITES.find, "paris")))
        )
        site = store.write(sites.create, name="paris")
        [(committed, seen)] = heard
        self.assertEqual(seen, site)
        self.assertEqual(committed.changes, (Change("site", site.id, decides=False),))
        self.assertEqual([record.event.event for record in committed.records], ["site.created"])

    def test_a_failing_listener_harms_nobody(self):
        store = self.open()
        store.backend.listen(lambda committed: 1 / 0)
        heard = []
        store.backend.listen(heard.append)
        store.write(sites.create, name="paris")
        self.assertEqual(len(heard), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_audit_names_the_actor(self):
        store = self.open()
        store.acting(Actor("alice", "usr_1")).write(sites.create, name="paris")
        store.write(sites.create, name="rome")
        events = [record.event for record in store.read(audit.list_page, sort="created_at").items]
        self.assertEqual(
            [(event.actor, event.actor_id) for event in events],
            [("alice", "usr_1"), ("system", None)],
        )

    def test_an_audit_record_reads_as_it_was_written(self):
        store = self.open()
        event = AuditEvent(
            "login.refused",
            actor="someone",
            actor_id="usr_1",
            user_id="usr_1",
            user_name="алиса\u202e\x1b[31m",
            tunnel_id="tun_1",
            tunnel_name="db",
            session_id="ses_1",
            source_ip="2001:db8::1",
            pod_id="pod_1",
            data={"reason": "no", "method": "key"},
        )
        record = store.write(Transaction.audit, event)
        shown = attrs.evolve(event, user_name="алиса\\u202e\\x1b[31m")
        self.assertEqual(record.event, shown)
        (read,) = store.read(audit.list_page).items
        self.assertEqual(attrs.asdict(read), attrs.asdict(record))

    def test_a_reader_cannot_write(self):
        store = self.open()
        self.assertRaises(StoreUnavailable, store.read, sites.create, name="paris")
        self.assertRaises(NotFound, store.read, sites.SITES.find, "paris")

    def test_the_clock_stands_still_within_a_transaction(self):
        store = self.open()
        first, second = store.read(lambda transaction: (transaction.now(), transaction.now()))
        self.assertEqual(first, second)
        self.assertGreaterEqual(store.read(lambda transaction: transaction.now()), first)

    def test_many_writers_at_once_all_get_their_answer(self):
        store = self.open()
        futures = [store.write_soon(sites.create, name=f"site-{n % 40}") for n in range(80)]
        failures = [future.exception() for future in futures if future.exception()]
        self.assertEqual({type(one).__name__ for one in failures}, {"Conflict"})
        self.assertEqual(len(failures), 40)
        self.assertEqual(store.read(sites.count), 40)

    def test_a_closed_store_refuses(self):
        store = self.open()
        store.close()
        store.close()
        self.assertRaises(StoreUnavailable, store.write, sites.create, name="paris")
        self.failureResultOf_future(store.read_soon(sites.SITES.find, "paris"), StoreUnavailable)

    def failureResultOf_future(self, future, kind):
        self.assertIsInstance(future.exception(timeout=10), kind)

    def test_state_survives_reopening(self):
        store = self.open()
        site = store.write(sites.create, name="paris")
        store.close()
        self.assertEqual(self.open().read(sites.SITES.find, "paris"), site)

    def test_a_newer_state_is_refused_and_stays_as_it_is(self):
        store = self.open()
        store.write(become_newer)
        store.close()
        error = self.assertRaises(StateIsNewer, self.open)
        self.assertIn("9999", str(error))
        self.assertIn("install that version", str(error))
        self.assertRaises(StateIsNewer, self.open)


class SQLiteEngineTests(EngineContract, EmptySQLiteCase):
    def test_who_is_answered_first_is_heard_of_first(self):
        """A session is known of before what takes its key away."""
        store = self.open()
        heard = []
        store.listen(lambda committed: heard.append(committed.changes[0].id))
        hold = threading.Event()
        store.write_soon(lambda transaction: hold.wait(20))
        for name in ("first", "second"):
            store.write_soon(sites.create, name=name).add_done_callback(
                lambda done: heard.append(done.result().name)
            )
        hold.set()
        store.write(lambda transaction: None)
        ids = [store.read(sites.SITES.find, name).id for name in ("first", "second")]
        self.assertEqual(heard, [ids[0], "first", ids[1], "second"])

    def test_the_files_are_for_their_owner_alone(self):
        store = self.open()
        store.write(sites.create, name="paris")
        names = sorted(path.name for path in self.directory.iterdir())
        self.assertIn("tunnelcloud.sqlite3-wal", names)
        for name in names:
            self.assertEqual(stat.S_IMODE((self.directory / name).stat().st_mode), 0o600, name)

    def test_one_process_at_a_time(self):
        self.open()
        error = self.assertRaises(StateUnusable, self.open)
        self.assertIn("in use by another pod", str(error))

    def test_a_file_that_is_no_database_is_left_alone(self):
        path = self.directory / "tunnelcloud.sqlite3"
        path.write_bytes(b"not a database" * 1000)
        error = self.assertRaises(StateUnusable, self.open)
        self.assertIn(str(path), str(error))
        self.assertEqual(path.read_bytes(), b"not a database" * 1000)

    def test_a_place_that_cannot_hold_state_is_named(self):
        (self.directory / "file").write_text("")
        self.directory = self.directory / "file" / "state"
        error = self.assertRaises(StateUnusable, self.open)
        self.assertIn(str(self.directory), str(error))

    def test_a_full_disk_acknowledges_nothing_and_heals(self):
        store = self.open()

        def limit(transaction: Transaction, pages: int) -> None:
            transaction.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        store.write(sites.create, name="before")
        store.write(limit, 1)
        futures = [store.write_soon(sites.create, name=f"s{n}", title="x" * 9000) for n in range(9)]
        for future in futures:
            self.assertIsInstance(future.exception(timeout=10), StoreUnavailable)
        store.write(limit, 1_000_000)
        store.write(sites.create, name="s1")
        self.assertEqual(store.read(sites.count), 2)


class PostgresEngineTests(EngineContract, EmptyPostgresCase):
    def test_one_user_has_a_quarter_of_the_threads(self):
        store, lock, go_on = self.open(), threading.Lock(), threading.Event()
        self.addCleanup(CAUSER.set, CAUSER.get())
        CAUSER.set("greedy")
        at_once = {"read": 0, "written": 0}

        def work(what):
            with lock:
                at_once[what] += 1
            return go_on.wait(30)

        jobs = [store.read_soon(lambda _: work("read")) for _ in range(20)]
        jobs += [
            store.backend.write_soon(SYSTEM, lambda _: work("written"), Fate()) for _ in range(20)
        ]
        CAUSER.set("modest")
        for number in range(4):
            store.read_soon(sites.count).result(30)
            store.write(sites.create, name=f"site-{number}")
        self.assertLessEqual(max(at_once.values()), 2)
        go_on.set()
        self.assertTrue(all(one.result(30) for one in jobs))

    def test_a_dropped_connection_is_replaced(self):
        store = self.open()
        store.write(sites.create, name="paris")

        def drop_own(transaction: Transaction) -> None:
            sites.create(transaction, name="rome")
            transaction.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

        self.assertRaises(StoreUnavailable, store.write, drop_own)
        self.assertRaises(NotFound, store.read, sites.SITES.find, "rome")
        store.write(sites.create, name="rome")

    def test_an_unreachable_database_is_one_clear_line(self):
        self.url = "postgresql://tunnelcloud:hunter2@127.0.0.1:1/none"
        error = self.assertRaises(StateUnusable, self.open)
        self.assertIn("check [database] url", str(error))
        self.assertEqual(len(str(error).splitlines()), 1)
        self.assertNotIn("hunter2", str(error))

    def test_pods_that_start_together_migrate_once(self):
        first, second = self.open(), self.open()
        first.write(sites.create, name="paris")
        self.assertEqual(second.read(sites.SITES.find, "paris").name, "paris")

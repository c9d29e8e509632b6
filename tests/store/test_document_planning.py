"""Documents that are planned first and done at once: the same comes of it, and nobody waits."""

import re
import time

from sqlalchemy import event

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, events_of, make_world
from tests.store.plans import statements_of
from tests.store.test_documents import POLICY, TUNNEL, USER, DocumentContract, entry
from tunnelcloud.domain import objects
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import api_tokens, audit, document_planning, documents, users
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.errors import Conflict, GivenUp
from tunnelcloud.store.revocations import _OWNERS


def planned(transaction, document):
    """Plan and do it in one transaction."""
    return document_planning.carry_out(
        transaction, document_planning.plan(document_planning.take_snapshot(transaction), document)
    )


def people(count, **values):
    return {"users": {f"u{one}": {**USER, "email": f"u{one}@x.org", **values}
                      for one in range(count)}}  # fmt: skip


class SameContract(DocumentContract):
    """Whatever holds for applying a document."""

    def setUp(self):
        super().setUp()
        self.patch(documents, "apply", planned)


class SameSQLiteTests(SameContract, SQLiteCase):
    pass


class SamePostgresTests(SameContract, PostgresCase):
    pass


class PlanningContract:
    def setUp(self):
        super().setUp()
        self.store = self.open(MovingClock())
        self.world = self.store.write(make_world)

    def plan(self, document, **kwargs):
        return document_planning.plan(
            self.store.read(document_planning.take_snapshot), document, **kwargs
        )

    def test_the_same_events_and_changes(self):
        document = {
            **people(3),
            "groups": {"dba": {"title": "", "members": ("u1", "bob")}},
        }
        heard = []
        self.store.listen(lambda committed: heard.append(committed.changes))
        before = len(self.store.read(events_of))
        ready = self.plan(document)
        self.assertEqual(heard, [])
        self.assertEqual(len(self.store.read(events_of)), before)
        self.store.write(document_planning.carry_out, ready)
        self.assertEqual(
            self.store.read(events_of)[before:],
            ["user.created"] * 3 + ["group.member_added"] * 2 + ["group.member_removed"],
        )
        self.assertEqual([change.kind for change in heard[0]][:3], ["user"] * 3)

    def test_events_are_of_when_it_is_done(self):
        """Whoever follows the audit has gone on meanwhile."""
        ready = self.plan(people(2))
        self.store.write(users.set_password, self.world.bob.id, "hash")
        self.store.write(document_planning.carry_out, ready)
        found = self.store.read(audit.list_page, limit=200).items
        self.assertEqual(
            [one.event.event for one in sorted(found, key=lambda one: one.id)][-3:],
            ["user.password_set", "user.created", "user.created"],
        )

    def test_a_plan_is_outdated_by_any_change(self):
        ready = self.plan(people(2))
        self.store.write(users.update, self.world.bob.id, {"title": "Bob"})
        with self.assertRaises(document_planning.Outdated):
            self.store.write(document_planning.carry_out, ready)
        self.assertIsNone(self.store.read(users.find_login, "u1"))

    def test_what_it_does_not_name_is_left_alone_meanwhile(self):
        ready = self.plan({"users": {"bob": {**USER, "title": "Bob"}}})
        self.store.write(users.set_password, self.world.bob.id, "hash")
        self.store.write(document_planning.carry_out, ready)
        self.assertEqual(self.store.read(users.password_hash, self.world.bob.id), "hash")

    def test_who_is_blocked_loses_what_they_got_meanwhile(self):
        self.store.write(users.create, name="root", role=Role.ADMIN)
        ready = self.plan({"users": {"bob": {**USER, "blocked": True}}})
        self.store.write(
            api_tokens.create,
            title="x",
            role=Role.USER,
            secret_hash=hash_secret("x"),
            user_id=self.world.bob.id,
        )
        self.store.write(document_planning.carry_out, ready)
        self.assertEqual(self.store.read(api_tokens.list_page).items, ())

    def test_what_is_done_to_the_copy_is_done_to_the_database(self):
        """The copy has no other tables: what is written to one is done again, or would be lost."""
        again = {"audit", *(column.table.name for column in _OWNERS.values())}  # by end_access
        again |= {"approval_requests", "timed_grants"}  # by that, and by narrow
        copied, written = {table.name for table in document_planning._TABLES}, set()
        engine = document_planning._scratch()

        def heard(statement):
            found = re.match(r'(?:INSERT INTO|UPDATE|DELETE FROM) "?(\w+)', statement)
            written.update(found.groups() if found else ())

        def listen(driver, _):
            driver.set_trace_callback(heard)

        event.listen(engine, "connect", listen)
        self.addCleanup(event.remove, engine, "connect", listen)
        self.store.write(users.create, name="root", role=Role.ADMIN)
        self.store.write(users.update, self.world.bob.id, {"role": Role.ADMIN})
        names = {
            "users": {"bob": {**USER, "blocked": True}, "alice": {**USER, "service": True}},
            "policies": {"office": POLICY},
            "groups": {"dba": {"title": "x", "members": ()}},
            "sites": {"paris": entry(objects.SITE, title="x")},
            "tunnels": {"db": {**TUNNEL, "assignments": ()}},
        }
        self.store.write(document_planning.carry_out, self.plan(names))
        names["policies"] = {"office": {**POLICY, "approval_seconds": 60}}
        ready = self.plan(names)
        self.assertEqual((len(ready.narrowed), len(ready.turned)), (1, 0))
        self.assertGreater(written, {"users", "policies", "api_tokens", "timed_grants"})
        self.assertEqual(written - copied - again, set())

    def test_planning_stops_when_nobody_waits(self):
        fate = Fate()
        fate.give_up()
        with self.assertRaises(GivenUp):
            self.plan(people(2), go_on=fate.check)

    def test_one_transaction_of_few_statements(self):
        """However many objects there are: each statement is run for many rows at once."""

        def counted(count):
            ready = self.plan(people(count))
            seen = []
            self.patch(
                document_planning.Batch,
                "__call__",
                lambda one, at: (seen.append(1), run(one, at))[1],
            )
            engine = getattr(self.store.backend, "_writer", None) or self.store.backend._writers
            statements = statements_of(engine, self.store.write, document_planning.carry_out, ready)
            for one in range(count):
                found = self.store.read(users.find_login, f"u{one}")
                self.store.write(users.delete, found.id)
            return len(seen) + statements

        run = document_planning.Batch.__call__
        few, many = counted(5), counted(40)
        self.assertEqual(few, many)
        self.assertLess(many, 12)


class PlanningSQLiteTests(PlanningContract, SQLiteCase):
    pass


class PlanningPostgresTests(PlanningContract, PostgresCase):
    def test_two_administrators_who_are_demoted_at_once_in_different_ways(self):
        """One by a document that was planned while the other was an administrator."""
        names = ("one", "two")
        found = [self.store.write(users.create, name=name, role=Role.ADMIN) for name in names]
        document = {"users": {"one": {**USER, "role": Role.USER}}}
        ready = document_planning.plan(self.store.read(document_planning.take_snapshot), document)

        def work(transaction):
            users.update(transaction, found[1].id, {"role": Role.USER})
            doing = self.store.write_soon(document_planning.carry_out, ready)
            self.assertRaises(TimeoutError, doing.result, 0.3)
            return doing

        self.assertRaises(Conflict, self.store.write(work).result)
        self.assertEqual(self.store.read(users.count, role=Role.ADMIN), 1)


class CostTests(SQLiteCase):
    """What planning costs the thread it runs in, and doing it the thread that writes."""

    def costs(self, count):
        """Tell how many seconds of the processor it takes: planned, done, and planned again."""
        self.setUp()  # an empty database
        store = self.open()
        begin = time.process_time()
        ready = document_planning.plan(store.read(document_planning.take_snapshot), people(count))
        planned = time.process_time()
        store.write(document_planning.carry_out, ready)
        done = time.process_time()
        document_planning.plan(store.read(document_planning.take_snapshot), people(count))
        again = time.process_time()
        return planned - begin, done - planned, again - done

    def test_twice_as_many_cost_twice_as_much(self):
        self.costs(50)  # what is put together once
        for _ in range(3):
            ratios = [
                twice / once for once, twice in zip(self.costs(400), self.costs(800), strict=True)
            ]
            if max(ratios) < 3:
                return
        self.fail(f"twice as many cost {ratios} times as much")

    def test_the_writer_is_held_for_a_part_of_it(self):
        self.costs(50)
        plan, write, _ = self.costs(800)
        self.assertLess(write, plan / 3)

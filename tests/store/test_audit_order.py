"""The audit keeps the order in which events happened, whatever the database's clock does."""

from datetime import timedelta

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock
from tunnelcloud.domain.entities import new_id, place_of
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import audit
from tunnelcloud.store.column_types import to_milliseconds
from tunnelcloud.store.transaction import IdSource, Transaction

HOUR = timedelta(hours=1)


def record(store, actor):
    return store.write(Transaction.audit, AuditEvent("web_login.refused", actor=actor))


def actors(store, **filters):
    page = store.read(audit.list_page, sort="created_at", **filters)
    return [one.event.actor for one in page.items]


class AuditOrderContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()

    def test_the_clock_goes_back(self):
        store = self.open(self.clock)
        last = record(store, "before")
        self.clock.moment -= HOUR
        for actor in ("one", "two", "three"):
            record(store, actor)
            self.clock.advance(1)
        self.assertEqual(actors(store), ["before", "one", "two", "three"])
        self.assertEqual(actors(store, since=last.at), ["before", "one", "two", "three"])

    def test_the_clock_goes_back_while_the_pod_is_down(self):
        store = self.open(self.clock)
        record(store, "before")
        store.close()
        self.clock.moment -= HOUR
        store = self.open(self.clock)
        record(store, "after")
        self.assertEqual(actors(store), ["before", "after"])

    def test_events_are_found_by_their_own_time(self):
        store = self.open(self.clock)
        record(store, "before")
        self.clock.moment -= 24 * HOUR
        record(store, "after")
        self.clock.advance(1)
        self.assertEqual(actors(store, until=self.clock.moment), ["after"])

    def test_the_clock_is_right_again(self):
        store = self.open(self.clock)
        self.clock.moment += HOUR
        record(store, "early")
        self.clock.moment -= HOUR
        record(store, "behind")
        self.clock.moment += 2 * HOUR
        found = record(store, "later")
        self.assertEqual(place_of(found.id)[0], to_milliseconds(self.clock.moment))


class SQLiteAuditOrderTests(AuditOrderContract, SQLiteCase):
    pass


class PostgresAuditOrderTests(AuditOrderContract, PostgresCase):
    def test_what_another_pod_wrote_comes_before(self):
        one, other = self.open(), self.open()
        first = record(one, "one")
        ahead = to_milliseconds(first.at + HOUR)
        one.write(_place, first.id, new_id("event", ahead, lambda count: b"\xff" * count))
        record(other, "two")
        record(one, "three")
        record(other, "four")
        self.assertEqual(actors(one), ["one", "two", "three", "four"])


def _place(transaction, event_id, place):
    """Date an event as if the clock had been ahead."""
    transaction.connection.exec_driver_sql(
        "UPDATE audit SET id = %s WHERE id = %s", (place, event_id)
    )


class IdSourceTests(SQLiteCase):
    def test_ids_run_ahead_little_by_little(self):
        """Whoever looks a few seconds back from the last one is given few of them again."""
        ids = IdSource(lambda count: bytes(count))
        ids("event", 100_000)
        made = [place_of(ids("event", 1000 + number))[0] for number in range(3)]
        self.assertEqual(made, [100_001, 100_002, 100_003])

    def test_a_transaction_that_began_earlier(self):
        ids = IdSource(lambda count: bytes(count))
        made = [ids("event", moment) for moment in (100_000, 99_000, 100_000)]
        self.assertEqual(made, sorted(made))
        self.assertEqual(place_of(made[2])[0], 100_000)

"""What has had its time goes, a little at a time; the rest stays."""

from functools import partial

from sqlalchemy import func, select

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import count_events, events_of
from tests.store.records import RecordCase
from tests.web.support import QueuedReactor
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.pod.housekeeping import Housekeeping
from tunnelcloud.store import (
    audit,
    channels,
    history_shares,
    preferences,
    schema,
    sessions,
    tokens,
    web_sessions,
)
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.sqlite_files import FILE_NAME

DAY = 86_400


def number_of_events(transaction):
    return transaction.connection.execute(select(func.count()).select_from(schema.audit)).scalar()


class HousekeepingContract(RecordCase):
    def keep_house(self, batch=2, **more):
        reactor = QueuedReactor()
        done = []
        Housekeeping(AsyncStore(self.store, reactor), batch, **more).run().addBoth(done.append)
        while not done:
            reactor.run_one()
        self.assertEqual(done, [None])

    def test_while_the_clock_may_be_wrong_nothing_goes_for_its_age(self):
        self.store.write(sessions.end, self.start().id, reason="over")
        self.sign_in()
        before = self.store.read(events_of)
        self.clock.advance(500 * DAY)
        shown = []
        self.keep_house(is_steady=lambda now: shown.append(now))
        self.assertEqual(shown, [self.clock.moment])
        self.assertEqual(self.store.read(events_of), before)
        self.assertEqual(self.store.read(sessions.count), 1)
        self.assertEqual(self.store.read(web_sessions.list_page).items, ())

    def keep_house_for_an_hour(self):
        for _ in range(12):
            self.clock.advance(300)
            self.keep_house(batch=100)

    def set(self, **changes):
        return self.store.write(preferences.change_settings, changes)

    def sign_in(self):
        self.store.write(
            web_sessions.create, user_id=self.world.alice.id, secret_hash=bytes(32),
            lifetime_seconds=60, method="password", source_ip="192.0.2.1", user_agent="x",
        )  # fmt: skip

    def test_by_default_events_and_sessions_stay_for_400_days(self):
        session = self.start()
        self.open_channel(session)
        self.store.write(sessions.end, session.id, reason="over")
        before = self.store.read(events_of)
        self.clock.advance(399 * DAY)
        self.keep_house()
        self.assertEqual(self.store.read(events_of), before)
        self.clock.advance(2 * DAY)
        self.keep_house()
        self.assertEqual(self.store.read(events_of), [])
        self.assertEqual(self.store.read(sessions.count), 0)
        self.store.write(sessions.end, self.start().id, reason="over")
        self.set(audit_retention_days=None, session_retention_days=None)
        before = self.store.read(events_of)
        self.clock.advance(10_000 * DAY)
        self.keep_house()
        self.assertEqual(self.store.read(events_of), before)
        self.assertEqual(self.store.read(sessions.count), 1)

    def test_events_have_their_time(self):
        self.set(audit_retention_days=30)
        self.clock.advance(30 * DAY)
        late = self.start()
        self.keep_house()
        self.assertGreater(len(self.store.read(events_of)), 5)
        self.clock.advance(1)
        self.keep_house()
        self.assertEqual(self.store.read(events_of), ["login.succeeded"])
        self.assertEqual(self.store.read(sessions.get, late.id), late)

    def test_events_have_their_room(self):
        """The oldest go when all are larger than a size, of about as many bytes as they take."""
        event = AuditEvent("pod.started", data={"version": "x" * 1600})

        def write(transaction):
            for _ in range(1000):
                transaction.audit(event)

        self.set(audit_max_mib=1)
        self.store.write(write)
        for _ in range(2):
            self.keep_house_for_an_hour()
            self.assertTrue(480 < self.store.read(number_of_events) < 560)
        self.set(audit_max_mib=None)
        self.store.write(write)
        self.keep_house()
        self.assertGreater(self.store.read(number_of_events), 1400)

    def test_a_tenth_goes_at_once(self):
        """A wrong estimate, or a flood, doesn't take all history before anybody sees it."""
        event = AuditEvent("pod.started", data={"version": "x" * 1600})

        def write(transaction):
            for _ in range(1000):
                transaction.audit(event)

        self.store.write(write)
        self.set(audit_max_mib=1)
        count = self.store.read(number_of_events)
        for _ in range(2):  # another pod comes shortly after
            self.keep_house(batch=70)
            self.assertEqual(self.store.read(number_of_events), count - count // 10 + 1)
            self.clock.advance(60)
        [told] = self.store.read(audit.list_page, event="audit.forgotten").items
        self.assertEqual(told.event.data["events"], count // 10)
        self.assertEqual(told.event.data["until"], "2026-03-02T09:00:00.000Z")
        self.clock.advance(300)
        self.keep_house()
        self.assertLess(self.store.read(number_of_events), count - count // 10 - 80)

    def test_a_user_reads_that_events_of_theirs_went(self):
        alice = self.world.alice
        event = AuditEvent("channel.refused", user_id=alice.id, data={"reason": "x" * 1600})

        def write(transaction):
            for _ in range(1000):
                transaction.audit(event)

        self.store.write(write)
        self.set(audit_max_mib=1)
        self.keep_house(batch=70)
        [told] = self.store.read(audit.list_page, event="audit.forgotten", user_id=alice.id).items
        self.assertEqual(told.event.user_name, "alice")
        gone = 1000 - self.store.read(count_events, "channel.refused")
        self.assertEqual(told.event.data["events"], gone)
        self.assertEqual(told.event.data["reason"], "one user's took more than their share")

    def test_long_events_weigh_what_they_are_of_all(self):
        """Whoever writes the latest thousand doesn't say how many of the others fit."""

        def write(transaction):
            for _ in range(9000):
                transaction.audit(AuditEvent("pod.started", data={"version": "x"}))
            for _ in range(1000):
                transaction.audit(AuditEvent("login.refused", data={"login_name": "x" * 3200}))

        self.store.write(write)
        self.set(audit_max_mib=9)
        self.keep_house(batch=500)
        self.assertGreater(self.store.read(number_of_events), 10_000)
        measured = self.store.read(audit.measure)
        self.assertTrue(760 < measured.taken / measured.looked_at < 880, measured)

    def test_past_sessions_go_with_their_channels_and_open_ones_stay(self):
        self.set(session_retention_days=7)
        still_open = self.start()
        past = [self.start() for _ in range(5)]
        for session in [still_open, *past]:
            self.open_channel(session)
        for session in past:
            self.store.write(sessions.end, session.id, reason="over")
        self.clock.advance(6 * DAY)
        recent = self.start()
        self.store.write(sessions.end, recent.id, reason="over")
        self.clock.advance(DAY + 1)
        self.keep_house()
        left = {one.id for one in self.store.read(sessions.list_page).items}
        self.assertEqual(left, {still_open.id, recent.id})
        self.assertEqual(self.store.read(channels.count), 1)

    def test_who_opens_channels_all_day_pushes_nobody_else_out(self):
        event = partial(AuditEvent, "channel.refused", data={"reason": "x" * 1500})
        alice, bob = self.world.alice, self.world.bob
        own = AuditEvent("login.succeeded", user_id=bob.id, data={"login_name": "bob"})
        changed = AuditEvent("user.changed", user_id=alice.id, data={"object_name": "alice"})

        def write(transaction):
            for one in (own, changed):
                transaction.audit(one)
            for _ in range(1000):
                transaction.audit(event(user_id=alice.id))

        self.set(audit_max_mib=1)
        before = set(self.store.read(events_of))
        self.store.write(write)
        self.keep_house_for_an_hour()
        refused = self.store.read(count_events, "channel.refused")
        self.assertTrue(440 < refused < 560, refused)
        kept = set(self.store.read(events_of))
        self.assertLessEqual(before | {"login.succeeded", "user.changed"}, kept)

    def test_who_names_a_user_takes_nothing_of_that_user(self):
        """A stranger's refused logins are charged to all that nobody proved."""
        alice = self.world.alice
        own = AuditEvent("login.succeeded", user_id=alice.id, data={"login_name": "alice"})
        refused = AuditEvent("login.refused", user_id=alice.id, data={"reason": "x" * 1500})

        def write(transaction):
            transaction.audit(own)
            for _ in range(1000):
                transaction.audit(refused)

        self.set(audit_max_mib=1)
        before = set(self.store.read(events_of))
        self.store.write(write)
        self.keep_house_for_an_hour()
        refused = self.store.read(count_events, "login.refused")
        self.assertTrue(440 < refused < 560, refused)
        self.assertLessEqual(before | {"login.succeeded"}, set(self.store.read(events_of)))

    def test_connectors_that_come_and_go_push_nobody_out(self):
        """Nor do those that are refused a renewal."""
        for name in ("connector.attached", "connector.renewal_refused"):
            event = AuditEvent(name, actor_id="con_1", data={"connector_id": "x" * 1500})

            def write(transaction, event=event):
                transaction.audit(AuditEvent("user.changed", data={"object_name": "alice"}))
                for _ in range(1000):
                    transaction.audit(event)

            self.set(audit_max_mib=1)
            before = set(self.store.read(events_of))
            self.store.write(write)
            self.keep_house_for_an_hour()
            left = self.store.read(count_events, name)
            self.assertTrue(0 < left < 560, left)
            self.assertLessEqual(before | {"user.changed"}, set(self.store.read(events_of)))

    def past_and_open(self, user, count):
        """Have a user begin sessions, open a channel in each, and end them."""
        for _ in range(count):
            session = self.start(user=user)
            self.open_channel(session)
            self.store.write(sessions.end, session.id, reason="over")

    def left(self, user):
        """Count a user's past and open sessions, and past and open channels."""
        pages = (
            self.store.read(sessions.list_page, user_id=user.id, limit=100),
            self.store.read(channels.list_page, user_id=user.id, limit=100),
        )
        ended = [one.ended_at is not None for one in pages[0].items]
        closed = [one.closed_at is not None for one in pages[1].items]
        return ended.count(True), ended.count(False), closed.count(True), closed.count(False)

    def test_a_user_has_so_many_past_channels_and_sessions(self):
        self.patch(history_shares, "MOST_CHANNELS", 3)
        self.patch(history_shares, "MOST_SESSIONS", 4)
        alice, bob = self.world.alice, self.world.bob
        self.past_and_open(alice, 9)
        self.past_and_open(bob, 2)
        live = self.start()
        for _ in range(9):
            self.open_channel(live)
        self.clock.advance(7 * DAY + 1)
        self.keep_house()
        self.assertEqual(self.left(alice), (4, 1, 3, 9))
        self.assertEqual(self.left(bob), (2, 0, 2, 0))

    def test_nobody_wipes_out_their_own_last_week(self):
        """What is younger stays beyond a user's share, up to four times as much."""
        self.patch(history_shares, "MOST_CHANNELS", 3)
        self.patch(history_shares, "MOST_SESSIONS", 4)
        alice = self.world.alice
        self.past_and_open(alice, 1)
        self.clock.advance(6 * DAY)
        self.past_and_open(alice, 11)
        self.keep_house()
        self.assertEqual(self.left(alice), (12, 0, 12, 0))
        self.clock.advance(DAY + 1)
        self.keep_house()
        self.assertEqual(self.left(alice), (11, 0, 11, 0))
        self.past_and_open(alice, 9)
        self.keep_house()
        self.assertEqual(self.left(alice), (16, 0, 12, 0))

    def test_tokens_and_sign_ins_that_are_over(self):
        for secret in (b"1", b"2", b"3"):
            self.store.write(
                tokens.create, user_id=self.world.alice.id, secret_hash=secret, lifetime_seconds=600
            )
        self.sign_in()
        self.clock.advance(7 * DAY)
        self.keep_house()
        self.assertEqual(self.store.read(tokens.TOKENS.count), 3)
        self.assertEqual(self.store.read(web_sessions.list_page).items, ())
        self.clock.advance(601)
        self.keep_house()
        self.assertEqual(self.store.read(tokens.TOKENS.count), 0)


class SQLiteHousekeepingTests(HousekeepingContract, SQLiteCase):
    def pages(self, which="page_count"):
        return self.store.read(
            lambda transaction: transaction.connection.exec_driver_sql(f"PRAGMA {which}").scalar()
        )

    def test_what_comes_fast_outgrows_the_room_by_so_much_and_no_more(self):
        """A tenth goes every five minutes: all together are at most what comes in eleven such."""
        event = AuditEvent("pod.started", data={"version": "x" * 1600})
        comes = 60

        def write(transaction):
            for _ in range(comes):
                transaction.audit(event)

        self.set(audit_max_mib=1)  # of these, some 520
        most = 0
        for _ in range(16):
            self.store.write(write)
            most = max(most, self.store.read(number_of_events))
            self.clock.advance(300)
            self.keep_house(batch=100)
        self.assertTrue(560 < most < 11 * comes + 20, most)
        self.keep_house_for_an_hour()
        self.assertLess(self.store.read(number_of_events), 560, "it shrinks to its room again")

    def test_what_is_forgotten_leaves_the_file(self):
        """Some pages are kept for what comes, so that not each hour moves pages about."""
        self.set(audit_retention_days=30)
        before = self.pages()

        def write(transaction):
            for _ in range(500):
                transaction.audit(AuditEvent("pod.started", data={"version": "x" * 8000}))

        self.store.write(write)
        full = self.pages()
        self.assertGreater(full, before + 1000)
        self.clock.advance(31 * DAY)
        self.keep_house(batch=100)
        self.assertLess(self.pages(), before * 5 // 4)
        self.assertLessEqual(self.pages("freelist_count"), self.pages() // 4)
        self.store.close()
        self.assertLess((self.directory / FILE_NAME).stat().st_size, full * 4096 // 2)
        self.store = self.open(self.clock)
        self.assertEqual(self.pages("integrity_check"), "ok")

    def test_a_few_free_pages_stay(self):
        free = self.pages("freelist_count")
        self.keep_house()
        self.assertEqual(self.pages("freelist_count"), free)


class PostgresHousekeepingTests(HousekeepingContract, PostgresCase):
    pass


class AStoreThatFailsTests(SQLiteCase):
    def test_it_is_tried_again_later(self):
        store = self.open()
        store.close()
        reactor = QueuedReactor()
        done = []
        Housekeeping(AsyncStore(store, reactor)).run().addBoth(done.append)
        while not done:
            reactor.run_one()
        self.assertEqual(done, [None])

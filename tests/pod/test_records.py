"""The switch's books: what is written when, with the real store."""

from attrs import field, frozen
from twisted.internet.defer import fail
from twisted.internet.task import Clock

from tests.store.databases import SQLiteCase
from tests.store.records import RecordCase
from tests.web.support import QueuedReactor
from tunnelcloud.pod.records import (
    ASIDE_SECONDS,
    AT_ONCE,
    GATHER_SECONDS,
    RETRY_SECONDS,
    STAYS_SECONDS,
    Records,
)
from tunnelcloud.store import audit, channels, sessions
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import StoreUnavailable, Trouble
from tunnelcloud.store.refusals import SECONDS


@frozen
class FailingStore(AsyncStore):
    """Fails as it is told, and then works."""

    errors: list = field(factory=list)

    def write(self, function, /, *args, **kwargs):
        if self.errors:
            return fail(self.errors.pop())
        return super().write(function, *args, **kwargs)


class EndsTests(RecordCase, SQLiteCase):
    """Ends are gathered, and written together in their order."""

    def setUp(self):
        super().setUp()
        self.time = Clock()
        self.reactor = QueuedReactor()
        self.away = []
        self.records = Records(FailingStore(self.store, self.reactor, errors=self.away), self.time)
        self.session = self.start()
        self.commits = []
        self.store.listen(
            lambda committed: self.commits.append([one.event.event for one in committed.records])
        )

    def end(self, count=1):
        opened = [self.open_channel(self.session) for _ in range(count)]
        del self.commits[:]
        for channel in opened:
            self.records.channel_closed(channel, "con_1", "", 5, 7)
        self.records.session_ended(self.session, "bye", 5, 7)

    def test_together_in_a_moment(self):
        self.end(2)
        self.time.advance(GATHER_SECONDS / 2)
        self.assertIsNone(self.store.read(sessions.get, self.session.id).ended_at)
        self.time.advance(GATHER_SECONDS / 2)
        self.reactor.run_one()
        self.assertEqual(self.commits, [["channel.closed", "channel.closed", "session.ended"]])
        ended = self.store.read(sessions.get, self.session.id)
        self.assertEqual((ended.end_reason, ended.bytes_to_target), ("bye", 5))
        [channel, _] = self.store.read(channels.list_page).items
        self.assertEqual((channel.close_reason, channel.connector_id), ("", "con_1"))

    def test_what_somebody_wanted_is_there_when_they_look(self):
        self.records.session_ended(self.start(), "bye", 0, 0)
        self.records.session_ended(self.session, "ended by root", 0, 0, at_once=True)
        self.time.advance(0)
        self.reactor.run_one()
        self.assertEqual(self.store.read(sessions.count, live=True), 0)

    def test_so_many_at_once_that_a_login_needn_t_wait_long(self):
        self.end(AT_ONCE)
        self.time.advance(GATHER_SECONDS)
        for _ in range(2):
            self.reactor.run_one()
        self.assertEqual([len(commit) for commit in self.commits], [AT_ONCE, 1])

    def test_what_ends_while_others_are_written(self):
        self.end()
        self.time.advance(GATHER_SECONDS)
        self.records.session_ended(self.start(), "later", 0, 0)
        self.time.advance(GATHER_SECONDS)
        for _ in range(2):
            self.reactor.run_one()
        self.assertEqual(self.store.read(sessions.count, live=True), 0)

    def test_at_the_end_nothing_waits(self):
        self.end()
        finished = self.records.finish()
        self.assertNoResult(finished)
        self.reactor.run_one()
        self.successResultOf(finished)
        self.assertEqual(self.store.read(sessions.count, live=True), 0)
        self.assertEqual(self.time.getDelayedCalls(), [])
        self.successResultOf(self.records.finish())

    def fail_once(self, error):
        self.away.append(error)

    def test_a_store_that_is_away_for_a_while(self):
        self.end()
        self.fail_once(StoreUnavailable("away", Trouble.GONE))
        self.time.advance(GATHER_SECONDS)
        self.assertEqual(self.commits, [])
        self.time.advance(RETRY_SECONDS)
        self.reactor.run_one()
        self.assertEqual(self.commits, [["channel.closed", "session.ended"]])

    def test_a_fault_is_not_tried_again(self):
        self.end()
        for _ in range(3):  # both together, and each alone
            self.fail_once(ZeroDivisionError())
        self.time.advance(GATHER_SECONDS)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(self.time.getDelayedCalls(), [])

    def test_one_that_can_not_be_written_is_kept_and_keeps_no_others(self):
        self.records.session_ended(self.session, object(), 5, 7)
        self.end()
        self.records.session_ended(self.start(), "later", 0, 0)
        self.time.advance(GATHER_SECONDS)
        for _ in range(5):
            self.reactor.run_one()
        self.assertEqual(self.store.read(sessions.count, live=True), 0)
        self.assertEqual(self.records.waiting, 1)
        self.time.advance(ASIDE_SECONDS)
        self.reactor.run_one()
        self.assertEqual(self.records.waiting, 1)

    def test_whatever_the_database_says_nothing_is_lost(self):
        self.end(3)
        for trouble in Trouble:
            self.fail_once(StoreUnavailable("away", trouble))
        for _ in range(2 * len(Trouble)):
            self.time.advance(RETRY_SECONDS)
            if not self.away:
                break
        self.time.advance(ASIDE_SECONDS)
        while self.records.waiting:
            self.reactor.run_one()
        self.assertEqual(self.store.read(sessions.count, live=True), 0)
        self.assertEqual(sum(map(len, self.commits)), 4)

    def test_at_the_end_a_store_that_is_away_is_waited_for(self):
        self.end()
        self.fail_once(StoreUnavailable("away", Trouble.GONE))
        finished = self.records.finish()
        self.assertNoResult(finished)
        self.time.advance(RETRY_SECONDS)
        self.reactor.run_one()
        self.successResultOf(finished)
        self.assertEqual(self.records.waiting, 0)


class OpenedTests(RecordCase, SQLiteCase):
    """The audit is told of what stays open; of what is over soon its end tells all."""

    def setUp(self):
        super().setUp()
        self.time = Clock()
        self.reactor = QueuedReactor()
        self.records = Records(AsyncStore(self.store, self.reactor), self.time)
        self.session = self.start()

    def opened(self):
        written = self.records.channel_opened(self.session, self.world.tunnel, "10.0.0.5", 5432)
        self.reactor.run_one()
        return self.successResultOf(written)

    def close(self, channel):
        self.records.channel_closed(channel, "con_1", "", 5, 7)

    def pass_time(self, seconds):
        self.time.advance(seconds)
        if self.records.waiting:
            self.time.advance(GATHER_SECONDS)
            self.reactor.run_one()

    def said(self):
        found = self.store.read(audit.list_page, sort="created_at").items
        return [
            (one.event.event, one.event.data["channel_id"])
            for one in found
            if one.event.event.startswith("channel.")
        ]

    def test_it_is_on_record_before_it_is_dialled(self):
        channel = self.opened()
        self.assertEqual(self.store.read(channels.list_page, live=True).items, (channel,))
        self.assertEqual(self.said(), [])

    def test_one_that_is_over_soon_is_one_event(self):
        channel = self.opened()
        self.close(channel)
        self.pass_time(STAYS_SECONDS)
        self.assertEqual(self.said(), [("channel.closed", channel.id)])
        self.assertEqual(self.time.getDelayedCalls(), [])

    def test_one_that_stays_is_two(self):
        first = self.opened()
        self.time.advance(STAYS_SECONDS / 2)
        second = self.opened()
        self.pass_time(STAYS_SECONDS / 2)
        self.assertEqual(self.said(), [("channel.opened", first.id)])
        self.close(second)
        self.pass_time(STAYS_SECONDS)
        self.close(first)
        self.pass_time(GATHER_SECONDS)
        self.assertEqual(
            self.said()[1:], [("channel.closed", second.id), ("channel.closed", first.id)]
        )

    def test_each_in_its_time_in_one_transaction_and_by_one_timer(self):
        made = [self.opened() for _ in range(20)]
        self.assertEqual(len(self.time.getDelayedCalls()), 1)
        commits = []
        self.store.listen(lambda committed: commits.append(len(committed.records)))
        self.pass_time(STAYS_SECONDS)
        self.assertEqual(commits, [20])
        self.assertEqual(self.said(), [("channel.opened", one.id) for one in made])
        self.assertEqual(self.time.getDelayedCalls(), [])

    def test_a_pod_that_ends_leaves_no_timer(self):
        channel = self.opened()
        self.close(channel)
        self.opened()
        finished = self.records.finish()
        self.reactor.run_one()
        self.successResultOf(finished)
        self.assertEqual(self.time.getDelayedCalls(), [])


class RefusedOpensTests(RecordCase, SQLiteCase):
    """Who asks again and again for what they may not have makes the pod write so often."""

    def test_beyond_a_few_of_a_user_they_are_counted(self):
        time, reactor = Clock(), QueuedReactor()
        records = Records(AsyncStore(self.store, reactor), time)
        session = self.start()
        answered = []
        for number in range(5000):
            refused = records.channel_refused(session, None, "nowhere", 1, "you may not")
            refused.addCallback(answered.append)
            if number < 20:
                reactor.run_one()
        self.assertEqual(len(answered), 5000)
        time.advance(SECONDS)
        reactor.run_one()
        found = self.store.read(audit.list_page, event="channel.refused", limit=200).items
        self.assertEqual(len(found), 21)
        event = found[0].event
        self.assertEqual(event.data["count"], 4980)
        self.assertEqual(
            (event.user_id, event.session_id, event.source_ip),
            (session.user_id, session.id, session.source_ip),
        )

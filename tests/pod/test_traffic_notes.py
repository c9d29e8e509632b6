"""Byte counts of what is open, with the real store."""

from twisted.internet.defer import succeed

from tests.pod.test_records import FailingStore
from tests.store.databases import SQLiteCase
from tests.store.records import RecordCase
from tests.web.support import QueuedReactor
from tunnelcloud.pod.byte_rates import Counts
from tunnelcloud.pod.traffic_notes import TrafficNotes
from tunnelcloud.store import channels, deletion_warnings, sessions
from tunnelcloud.store.errors import StoreUnavailable


class TrafficNotesTests(RecordCase, SQLiteCase):
    def setUp(self):
        super().setUp()
        self.session = self.start()
        self.channel = self.open_channel(self.session)
        self.reactor = QueuedReactor()
        self.away = []
        self.of_sessions, self.of_channels, self.carriers = {}, {}, {}
        self.notes = TrafficNotes(
            FailingStore(self.store, self.reactor, errors=self.away),
            lambda: succeed(
                Counts(dict(self.of_sessions), dict(self.of_channels), dict(self.carriers))
            ),
        )

    def write(self):
        done = self.notes.write()
        if not done.called:
            self.reactor.run_one()
        self.successResultOf(done)

    def written(self):
        session = self.store.read(sessions.get, self.session.id)
        (channel,) = self.store.read(channels.list_page).items
        return session.bytes_to_target, channel.bytes_from_target

    def test_what_changed(self):
        self.of_sessions[self.session.id] = (10, 20)
        self.of_channels[self.channel.id] = (3, 4)
        self.write()
        self.assertEqual(self.written(), (10, 4))
        commits = []
        self.store.listen(commits.append)
        self.write()
        self.assertEqual(commits, [])
        self.of_channels[self.channel.id] = (3, 5)
        self.write()
        self.assertEqual(self.written(), (10, 5))

    def test_which_connector_carries_a_channel(self):
        self.carriers[self.channel.id] = "con_1"
        self.write()
        self.assertEqual(self.store.read(channels.get, self.channel.id).connector_id, "con_1")
        cost = self.store.read(deletion_warnings.of_deleting, "connector", "con_1")
        self.assertEqual((cost.people, cost.channels), (1, 1))
        commits = []
        self.store.listen(commits.append)
        self.write()
        self.assertEqual(commits, [])

    def test_a_store_that_is_away_is_told_later(self):
        self.of_sessions[self.session.id] = (10, 20)
        self.away.append(StoreUnavailable("away"))
        self.write()
        self.assertEqual(self.written(), (0, 0))
        self.write()
        self.assertEqual(self.written(), (10, 0))

"""What many refusals of a minute add up to in the audit."""

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from tests.store.databases import SQLiteCase
from tests.web.support import QueuedReactor
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import audit
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import StoreUnavailable, Trouble
from tunnelcloud.store.refusals import SECONDS, Refusals


class SumTests(SQLiteCase):
    def setUp(self):
        super().setUp()
        self.store, self.handover, self.clock = self.open(), QueuedReactor(), Clock()
        self.is_away = False
        store = AsyncStore(self.store, self.handover).checked(self.check)
        self.refusals = Refusals(store, self.clock)

    def check(self, _):
        if self.is_away:
            raise StoreUnavailable("away", Trouble.GONE)

    def refuse(self, count):
        event = AuditEvent("login.refused", source_ip="192.0.2.1")
        for _ in range(count):
            self.refusals.note(event, "192.0.2.1", written=False)

    def a_minute_passes(self):
        self.clock.advance(SECONDS)
        self.handover.run_one()

    def sums(self):
        found = self.store.read(audit.list_page, event="login.refused").items
        return [one.event.data["count"] for one in found]

    def test_sums_that_the_database_did_not_take_are_written_later(self):
        logged = []
        globalLogPublisher.addObserver(logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, logged.append)
        self.refuse(3)
        self.is_away = True
        self.a_minute_passes()
        self.refuse(4)
        self.a_minute_passes()
        self.assertEqual(self.sums(), [])
        self.assertEqual([one for one in logged if "log_failure" in one], [])
        self.is_away = False
        self.a_minute_passes()
        self.assertEqual(self.sums(), [7])
        self.assertEqual(self.clock.getDelayedCalls(), [])

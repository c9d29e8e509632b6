"""Answers to requests that are out of time or whose client is gone: never untrue."""

import threading

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.web.portal.browser import PortalTestCase
from tests.web.support import ApiTestCase, ToldPod, read_answer
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import sites
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.answering import REQUEST_SECONDS


class SlowDatabase:
    """A mixin: a writing transaction that goes on until a test lets it."""

    def setUp(self):
        super().setUp()
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        self.begun = threading.Event()

    def slow_work(self):
        """Let each transaction wait before it is committed."""
        audit = Transaction.audit

        def slow(transaction, event):
            record = audit(transaction, event)
            self.wait()
            return record

        self.patch(Transaction, "audit", slow)

    def slow_commit(self):
        """Let each transaction wait while it is being committed."""
        self.addCleanup(self.store.listen(lambda _: self.wait()))

    def wait(self):
        self.begun.set()
        self.go.wait(60)

    def pump_until(self, event):
        """Let the store's threads and the reactor take turns until one of the threads is there."""
        for _ in range(6000):
            if event.wait(0.01):
                return
            while not self.reactor._calls.empty():
                self.reactor.run_one()
        self.fail("the thread isn't there")

    def time_is_up(self):
        self.pump_until(self.begun)
        self.clock.advance(REQUEST_SECONDS)

    def finished(self):
        """Let the transaction go on, and give how many sites there are after it."""
        self.go.set()
        self.store.write(sites.count)
        return self.store.read(sites.count)


class Client:
    """A mixin: an administrator who doesn't wait for the answer."""

    def begin(self, method, path, body=b""):
        """Send a request."""
        self.transport = StringTransport()
        channel = self.site.buildProtocol(None)
        channel.makeConnection(self.transport)
        self.clock.advance(0)  # each read has a turn of the reactor of its own
        channel.dataReceived(
            f"{method} /api/v1{path} HTTP/1.1\r\nHost: pod\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.secrets[Role.ADMIN]}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        return channel

    def answer(self):
        while (answer := read_answer(self.transport.value())) is None:
            self.reactor.run_one()
        return answer


class ApiTests(SlowDatabase, Client, ApiTestCase):
    """The API's answers."""

    def test_what_is_out_of_time_is_rolled_back(self):
        self.slow_work()
        self.begin("POST", "/sites", b'{"name": "paris"}')
        self.time_is_up()
        answer = self.answer()
        self.assertEqual(answer.status, 503)
        self.assertIn("nothing was changed: try again", answer.json["detail"])
        self.assertEqual(answer.headers["retry-after"], "5")
        self.assertEqual(self.finished(), 0)

    def test_a_commit_under_way_is_waited_for(self):
        self.slow_commit()
        self.begin("POST", "/sites", b'{"name": "paris"}')
        self.time_is_up()
        self.assertEqual(self.transport.value(), b"")
        self.assertEqual(self.finished(), 1)
        self.assertEqual(self.answer().status, 201)

    def test_whoever_is_gone_changes_nothing(self):
        self.slow_work()
        channel = self.begin("POST", "/sites", b'{"name": "paris"}')
        self.pump_until(self.begun)
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.finished(), 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_is_done_is_not_denied(self):
        site = self.make_site()
        asked = []
        self.patch(
            ToldPod, "external_address_warning", lambda _, name: asked.append(name) or Deferred()
        )
        body = (
            f'{{"name": "db", "site_id": "{site["id"]}", "target_address": "10.0.0.5",'
            ' "target_ports": ["5432"], "external_address": "db.example.com"}'
        )
        self.begin("POST", "/tunnels", body.encode())
        while not asked:
            self.reactor.run_one()
        self.clock.advance(REQUEST_SECONDS)
        answer = self.answer()
        self.assertEqual(answer.status, 503)
        self.assertIn("after a change was made: look before", answer.json["detail"])
        self.assertNotIn("retry-after", answer.headers)
        self.assertEqual(len(self.api("GET", "/tunnels")["items"]), 1)

    def test_reading_changes_nothing(self):
        reading = []
        self.context.store.store.backend.read_soon = lambda *_: reading.append(1) or Never()
        self.begin("GET", "/sites")
        self.clock.advance(REQUEST_SECONDS)
        self.assertIn("nothing was changed", self.answer().json["detail"])


class Never:
    """A future that has no result."""

    def add_done_callback(self, _):
        """Never call it."""

    def cancel(self):
        """Do nothing."""


class PortalTests(SlowDatabase, PortalTestCase):
    """The portal's answers."""

    def test_what_is_out_of_time_is_rolled_back(self):
        browser = self.signed_in(Role.ADMIN)
        run_one, turns = self.reactor.run_one, []

        def slow_for_us():
            turns.append(1)
            self.assertLess(len(turns), 6000)
            if self.begun.is_set():
                self.clock.advance(REQUEST_SECONDS)
                self.reactor.run_one = run_one
            elif self.reactor._calls.empty():
                self.begun.wait(0.01)
            else:
                run_one()

        self.slow_work()
        self.reactor.run_one = slow_for_us
        page = browser.send("/admin/sites/new", {"name": "paris"}, status=503)
        self.assertIn("nothing was changed: try again", page.body.decode())
        self.assertEqual(self.finished(), 0)

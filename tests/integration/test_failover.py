"""A real primary and its standby: when the primary dies, pods go on with the promoted one."""

import secrets
import time
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.database_servers import Servers
from tests.integration.processes import PATIENCE
from tunnelcloud.store import sites
from tunnelcloud.store.changes import open_feed
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.errors import StoreUnavailable


class Reactor(Clock):
    """A clock whose threads' calls are done by the test."""

    def __init__(self):
        super().__init__()
        self.waiting = []

    def callFromThread(self, call, *arguments):
        self.waiting.append((call, arguments))

    def turn(self):
        while self.waiting:
            call, arguments = self.waiting.pop(0)
            call(*arguments)


class FailoverTests(SynchronousTestCase):
    def eventually(self, look, what):
        deadline = time.monotonic() + 2 * PATIENCE
        while not look():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def test_pods_go_on_with_the_promoted_standby(self):
        servers = Servers()
        self.addCleanup(servers.close)
        stores = [open_store(servers.url, Path("/nonexistent")) for _ in range(2)]
        for store in stores:
            self.addCleanup(store.close)
            store.check()
        reactor, heard = Reactor(), []
        feed = open_feed(stores[1], reactor)
        feed.subscribe(heard.append)
        feed.start()
        self.addCleanup(feed.stop)
        acknowledged = []

        def write(number=0):
            name = f"site-{secrets.token_hex(4)}"
            try:
                acknowledged.append(stores[number].write(sites.create, name=name).id)
            except StoreUnavailable:
                return False
            return True

        def hears(change_id):
            reactor.turn()
            return any(getattr(one, "id", "") == change_id for one in heard)

        for _ in range(5):
            self.assertTrue(write())
        self.eventually(lambda: hears(acknowledged[-1]), "the feed is up")
        servers.kill_primary()
        self.eventually(lambda: not write(), "the primary is gone")
        servers.promote()
        for number in (0, 1):
            self.eventually(lambda number=number: write(number), "writes reach the new primary")
        self.eventually(lambda: write() and hears(acknowledged[-1]), "the feed is up again")
        kept = set(stores[1].read(lambda transaction: [
            one.id for one in sites.SITES.list_page(transaction, limit=1000).items
        ]))  # fmt: skip
        self.assertEqual(set(acknowledged) - kept, set())

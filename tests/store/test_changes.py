"""The change feed: nothing is missed without the pod being told that it may have been."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.parse
from pathlib import Path
from types import SimpleNamespace

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.logs import logged
from tests.store.databases import PostgresCase, SQLiteCase, postgres_execute, postgres_server
from tunnelcloud.store import sites
from tunnelcloud.store.changes import InProcessFeed, ListeningFeed, open_feed
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.transaction import Change, Resync, Transaction

_DROP = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name = 'tunnelcloud change feed'"
)


class ThreadlessClock(Clock):
    """A reactor without threads: what they would hand over is kept until it is turned."""

    def __init__(self):
        super().__init__()
        self.handed = []

    def callFromThread(self, function, *args):
        self.handed.append((function, args))

    def turn(self):
        handed, self.handed = self.handed, []
        for function, args in handed:
            function(*args)


def make_many(transaction: Transaction, count: int) -> None:
    for number in range(count):
        sites.create(transaction, name=f"s{number}")


class InProcessTests(SQLiteCase):
    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.clock = ThreadlessClock()
        self.feed = open_feed(self.store, self.clock)
        self.assertIsInstance(self.feed, InProcessFeed)
        self.heard = []
        self.unsubscribe = self.feed.subscribe(self.heard.append)

    def test_it_is_down_until_started(self):
        self.clock.advance(3)
        self.assertIsNone(self.feed.healthy_since)
        self.assertEqual(self.feed.down_for(), 3)
        self.feed.start()
        self.assertEqual(self.feed.healthy_since, 3)
        self.assertEqual(self.feed.down_for(), 0)
        self.assertEqual(self.heard, [Resync()])

    def test_changes_arrive_in_the_reactors_thread(self):
        self.feed.start()
        site = self.store.write(sites.create, name="paris")
        self.assertEqual(self.heard, [Resync()])
        self.clock.turn()
        self.assertEqual(self.heard[1:], [Change("site", site.id, decides=False)])

    def test_very_many_changes_are_told_as_one(self):
        self.feed.start()
        self.store.write(make_many, 101)
        self.clock.turn()
        self.assertEqual(self.heard, [Resync(), Resync()])

    def test_one_failing_subscriber_harms_no_other(self):
        self.feed.start()
        self.unsubscribe()
        self.feed.subscribe(lambda notice: 1 / 0)
        later = []
        self.feed.subscribe(later.append)
        self.store.write(sites.create, name="paris")
        self.clock.turn()
        self.assertEqual(len(later), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.heard, [Resync()])

    def test_stopped_it_hears_nothing(self):
        self.feed.start()
        self.successResultOf(self.feed.stop())
        self.store.write(sites.create, name="paris")
        self.clock.turn()
        self.assertEqual(self.heard, [Resync()])
        self.assertIsNone(self.feed.healthy_since)


class ListeningTests(PostgresCase, TestCase):
    """With the real reactor: the thread is what is tested."""

    timeout = 60

    def setUp(self):
        super().setUp()
        self.store = self.open()
        self.listen_to(self.store)

    def listen_to(self, store):
        self.feed = open_feed(store, reactor)
        self.assertIsInstance(self.feed, ListeningFeed)
        self.heard = []
        self.waiting = None
        self.feed.subscribe(self.hear)
        self.feed.start()
        self.addCleanup(self.feed.stop)

    def hear(self, notice):
        self.heard.append(notice)
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(None)

    async def next(self):
        while not self.heard:
            self.waiting = Deferred()
            await self.waiting
        return self.heard.pop(0)

    async def test_another_pods_changes_arrive(self):
        self.assertEqual(await self.next(), Resync())
        other = self.open()
        site = other.write(sites.create, name="paris")
        self.assertEqual(await self.next(), Change("site", site.id, decides=False))

    async def test_what_is_rolled_back_is_not_told(self):
        self.assertEqual(await self.next(), Resync())

        def fail(transaction):
            sites.create(transaction, name="rome")
            raise ValueError

        self.assertRaises(ValueError, self.store.write, fail)
        site = self.store.write(sites.create, name="paris")
        self.assertEqual(await self.next(), Change("site", site.id, decides=False))

    async def test_very_many_changes_are_told_as_one(self):
        self.assertEqual(await self.next(), Resync())
        self.store.write(make_many, 101)
        self.assertEqual(await self.next(), Resync())

    async def test_after_a_lost_connection_all_is_read_again(self):
        self.assertEqual(await self.next(), Resync())
        first = self.feed.healthy_since
        postgres_execute(_DROP)
        self.store.write(sites.create, name="paris")
        notice = await self.next()
        self.assertEqual(notice, Resync())
        self.assertGreater(self.feed.healthy_since, first)
        site = self.store.write(sites.create, name="rome")
        while notice != Change("site", site.id, decides=False):
            notice = await self.next()

    async def until(self, holds):
        while not holds():
            await deferLater(reactor, 0.1)

    async def test_a_connection_that_lasts_but_brings_no_notice(self):
        thief = Thief()
        self.addCleanup(thief.close)
        store = open_store(thief.url, self.directory)
        self.addCleanup(store.close)
        await self.feed.stop()
        self.listen_to(store)
        self.assertEqual(await self.next(), Resync())
        thief.steals = True
        self.store.write(sites.create, name="paris")
        await self.until(lambda: self.feed.down_for() > 5)
        self.assertEqual(self.heard, [])
        await self.until(lambda: self.feed.healthy_since is None)
        self.assertGreater(self.feed.down_for(), 5)
        thief.steals = False
        self.assertEqual(await self.next(), Resync())
        self.assertEqual(self.feed.down_for(), 0)


class OutageTests(SynchronousTestCase):
    """What the log has of a database that is away for a while."""

    def setUp(self):
        self.clock = ThreadlessClock()
        backend = SimpleNamespace(dsn="")
        self.feed = ListeningFeed(backend, self.clock)

    def said(self, work, *arguments):
        return logged(lambda: work(*arguments)).splitlines()

    def test_one_line_a_minute_and_one_at_its_end(self):
        lines = []
        for _ in range(240):
            lines += self.said(self.feed._failed, "connection refused")
            self.clock.advance(0.5)
        self.assertEqual(len(lines), 2)
        self.assertIn("tried again: connection refused", lines[0])
        [line] = self.said(self.feed._heard_echo, True)
        self.assertIn("Changes are heard again", line)
        self.assertEqual(self.said(self.feed._heard_echo, True), [])
        self.assertEqual(len(self.said(self.feed._failed, "connection refused")), 1)


class Thief:
    """A pooler of connections between a feed and its database: keeps notices for itself."""

    def __init__(self):
        self.steals = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://postgres@127.0.0.1:{self._listener.getsockname()[1]}/migrated?sslmode=disable"
        directory = urllib.parse.urlsplit(postgres_server().get_uri()).query.removeprefix("host=")
        [self._server] = map(str, Path(directory).glob(".s.PGSQL.*[0-9]"))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                for work in (self._to_server, self._to_client):
                    threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _to_server(self, client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _to_client(self, client, server):
        with server, client, contextlib.suppress(OSError), server.makefile("rb") as stream:
            while head := stream.read(5):
                body = stream.read(int.from_bytes(head[1:], "big") - 4)
                if head[:1] != b"A" or not self.steals:
                    client.sendall(head + body)
            client.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.close()

"""The store from the reactor's thread."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.trial.unittest import TestCase

from tests.store.databases import PostgresCase, SQLiteCase
from tunnelcloud.store import audit, sites
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import Conflict, NotFound, StoreUnavailable
from tunnelcloud.store.transaction import Actor


class AsynchronousContract:
    timeout = 30

    def setUp(self):
        super().setUp()
        self.store = AsyncStore(self.open(), reactor)

    async def test_answers_arrive_as_deferreds(self):
        site = await self.store.write(sites.create, name="paris")
        self.assertEqual(await self.store.read(sites.SITES.find, "paris"), site)

    async def test_failures_too(self):
        await self.store.write(sites.create, name="paris")
        await self.assertFailure(self.store.write(sites.create, name="paris"), Conflict)
        await self.assertFailure(self.store.read(sites.SITES.find, "rome"), NotFound)

    async def test_many_at_once(self):
        writes = [self.store.write(sites.create, name=f"s{number}") for number in range(100)]
        made = await gatherResults(writes)
        found = await gatherResults([self.store.read(sites.get, site.id) for site in made])
        self.assertEqual(found, made)

    async def test_the_actor_is_named(self):
        await self.store.acting(Actor("alice", "usr_1")).write(sites.create, name="paris")
        page = await self.store.read(audit.list_page)
        self.assertEqual(page.items[0].event.actor, "alice")

    async def test_who_cancels_hears_no_more(self):
        cancelled = self.store.write(sites.create, name="paris")
        cancelled.cancel()
        await self.assertFailure(cancelled, CancelledError)
        await self.store.read(sites.count)

    async def test_a_closed_store_refuses(self):
        self.store.store.close()
        await self.assertFailure(self.store.write(sites.create, name="paris"), StoreUnavailable)
        await self.assertFailure(self.store.read(sites.SITES.find, "paris"), StoreUnavailable)


class SQLiteAsynchronousTests(AsynchronousContract, SQLiteCase, TestCase):
    pass


class PostgresAsynchronousTests(AsynchronousContract, PostgresCase, TestCase):
    pass

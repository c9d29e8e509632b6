"""Coroutines whose reads share transactions."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from tests.store.databases import PostgresCase, SQLiteCase
from tunnelcloud.store import sites
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import NotFound, StoreUnavailable


class SideBySideContract:
    timeout = 60

    def setUp(self):
        super().setUp()
        self.site = self.open_store().write(sites.create, name="paris")
        self.transactions = {}

    def open_store(self):
        self.store = AsyncStore(self.open(), reactor)
        return self.store.store

    def get(self, transaction, site_id):
        self.transactions[id(transaction)] = transaction
        return sites.get(transaction, site_id)

    async def reads(self, count):
        for _ in range(count):
            found = await self.store.read(self.get, self.site.id)
        return found

    async def test_the_longest_chain_counts(self):
        found = await self.store.together(self.reads(1), self.reads(3), self.reads(2))
        self.assertEqual(found, (self.site,) * 3)
        self.assertEqual(len(self.transactions), 3)

    async def test_one_within_another_takes_part(self):
        await self.store.together(
            self.reads(1), self.store.together(self.reads(1), self.reads(1)), self.reads(1)
        )
        self.assertEqual(len(self.transactions), 1)

    async def test_what_fails_harms_no_other(self):
        done = []

        async def after():
            done.append(await self.store.read(self.get, self.site.id))

        missing = self.store.reading(self.get, "sit_1")
        other = self.store.reading(self.get, "sit_2")
        doing = Deferred.fromCoroutine(self.store.together(other, missing, after()))
        error = await self.assertFailure(doing, NotFound)
        self.assertIn("sit_2", str(error))
        self.assertEqual(done, [self.site])
        self.assertEqual(len(self.transactions), 1)

    async def test_reads_beside_it_are_apart(self):
        apart = self.store.read(self.get, self.site.id)
        await self.store.together(self.reads(1))
        await apart
        self.assertEqual(len(self.transactions), 2)

    async def test_a_store_that_is_away_fails_all(self):
        self.store.store.close()
        doing = Deferred.fromCoroutine(self.store.together(self.reads(1), self.reads(1)))
        await self.assertFailure(doing, StoreUnavailable)

    async def test_who_cancels_cancels_all(self):
        ended = []

        async def waits():
            try:
                await Deferred()
            finally:
                ended.append(True)

        doing = Deferred.fromCoroutine(self.store.together(waits(), self.reads(1)))
        doing.cancel()
        await self.assertFailure(doing, CancelledError)
        self.assertEqual(ended, [True])
        doing = Deferred.fromCoroutine(self.store.together(waits(), waits()))
        doing.cancel()
        await self.assertFailure(doing, CancelledError)
        self.assertEqual(ended, [True] * 3)


class SQLiteSideBySideTests(SideBySideContract, SQLiteCase, TestCase):
    pass


class PostgresSideBySideTests(SideBySideContract, PostgresCase, TestCase):
    pass

"""The store from the reactor's thread."""

from __future__ import annotations

import threading

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.trial.unittest import TestCase

from tests.store.databases import PostgresCase, SQLiteCase
from tunnelcloud.store import asynchronous, audit, sites
from tunnelcloud.store.asynchronous import DEEDS, AsyncStore, Deeds
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.errors import Conflict, GivenUp, NotFound, OutcomeUnknown, StoreUnavailable
from tunnelcloud.store.transaction import Actor


def slowly(function, go, begin=lambda: None):
    """Give a store function that does its work, and then waits before it may be committed."""

    def work(transaction, **values):
        begin()
        done = function(transaction, **values)
        go.wait(60)
        return done

    return work


class AsynchronousContract:
    timeout = 120

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
        cancelled = self.store.read(sites.count)
        cancelled.cancel()
        await self.assertFailure(cancelled, CancelledError)
        await self.store.read(sites.count)

    async def test_what_is_told_as_too_late_is_never_committed(self):
        go = threading.Event()
        self.addCleanup(go.set)
        over = Deferred()
        store = evolve(self.store, answered=lambda *_: over.callback(None))
        work = slowly(sites.create, go)
        await self.assertFailure(store.within(0.01).write(work, name="paris"), StoreUnavailable)
        go.set()
        await over
        self.assertEqual(await self.store.read(sites.count), 0)

    async def test_what_was_cancelled_is_never_committed(self):
        go = threading.Event()
        self.addCleanup(go.set)
        over = Deferred()
        begun = Deferred()
        store = evolve(self.store, answered=lambda *_: over.callback(None))
        work = slowly(sites.create, go, lambda: reactor.callFromThread(begun.callback, None))
        writing = store.write(work, name="paris")
        await begun
        writing.cancel()
        await self.assertFailure(writing, CancelledError)
        go.set()
        await over
        self.assertEqual(await self.store.read(sites.count), 0)

    async def test_one_who_gives_up_takes_nobody_along(self):
        go = threading.Event()
        self.addCleanup(go.set)
        fate = Fate()

        def given_up(transaction):
            sites.create(transaction, name="rome")
            fate.give_up()

        # While the first one runs, SQLite's thread gathers the others into one transaction.
        writes = [self.store.write(slowly(sites.create, go), name="paris")]
        writes += [self.store.write(sites.create, name=f"s{number}") for number in range(10)]
        hasty = self.store.store.write_unless(fate, given_up)
        writes += [self.store.write(sites.create, name=f"t{number}") for number in range(10)]
        go.set()
        await gatherResults(writes)
        with self.assertRaises(GivenUp):
            hasty.result(60)
        self.assertEqual(await self.store.read(sites.count), 21)

    def hold_commit(self):
        """Let the next commit wait; give what fires when it does, and what lets it go on."""
        committing = Deferred()
        go = threading.Event()
        self.addCleanup(go.set)

        def listener(_):
            reactor.callFromThread(committing.callback, None)
            go.wait(60)

        self.addCleanup(self.store.store.listen(listener))
        return committing, go

    async def test_a_commit_under_way_is_waited_for(self):
        committing, go = self.hold_commit()
        writing = self.store.write(sites.create, name="paris")
        await committing
        writing.cancel()
        self.assertNoResult(writing)
        go.set()
        self.assertEqual((await writing).name, "paris")

    async def test_a_commit_that_hangs_is_told_as_unknown(self):
        self.patch(asynchronous, "OUTCOME_SECONDS", 0.01)
        committing, go = self.hold_commit()
        late = Deferred()
        deeds = Deeds()
        DEEDS.set(deeds)
        writing = self.store.within(60, late.callback).write(sites.create, name="paris")
        await committing
        writing.cancel()
        await self.assertFailure(writing, OutcomeUnknown)
        self.assertTrue(deeds.is_unsure)
        go.set()
        self.assertEqual((await late).name, "paris")

    async def test_deeds_are_counted_for_who_asks(self):
        deeds = Deeds()
        DEEDS.set(deeds)
        await self.store.write(sites.create, name="paris")
        await self.store.aside().write(sites.create, name="rome")
        await self.assertFailure(self.store.write(sites.create, name="rome"), Conflict)
        await self.store.read(sites.count)
        self.assertEqual(deeds, Deeds(1))

    async def test_no_read_waits_for_long_ones(self):
        over = threading.Event()
        self.addCleanup(over.set)
        long = [self.store.read_long(lambda _: over.wait(self.timeout)) for _ in range(10)]
        self.assertEqual(await self.store.read(sites.count), 0)
        over.set()
        self.assertEqual(await gatherResults(long), [True] * 10)

    async def test_a_closed_store_refuses(self):
        self.store.store.close()
        await self.assertFailure(self.store.read_long(sites.count), StoreUnavailable)
        await self.assertFailure(self.store.write(sites.create, name="paris"), StoreUnavailable)
        await self.assertFailure(self.store.read(sites.SITES.find, "paris"), StoreUnavailable)


class SQLiteAsynchronousTests(AsynchronousContract, SQLiteCase, TestCase):
    pass


class PostgresAsynchronousTests(AsynchronousContract, PostgresCase, TestCase):
    pass

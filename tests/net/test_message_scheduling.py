"""Connections that bring much at once take turns."""

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.message_scheduling import (
    FREE,
    MESSAGES_A_ROUND,
    MESSAGES_A_TURN,
    Rounds,
    SharedTurn,
)
from tunnelcloud.net.sockets import READ_SIZE, SMALL_READ


class Turns(Clock):
    """A clock that moves by a second a turn, in which nothing is called that is asked for in it."""

    def callLater(self, delay, call, *args, **kwargs):
        return super().callLater(delay + 1, call, *args, **kwargs)


class Connection:
    """Brings messages, each with its sender's name, as its rounds let it.

    :param done: where its messages go.
    """

    def __init__(self, turn, party, done):
        self.rounds = Rounds(turn, lambda: party, self.work)
        self.transport = StringTransport()
        self.transport.bufferSize = READ_SIZE
        self.party, self.done, self.left = party, done, 0

    def read(self, count):
        """Have one read bring so many messages."""
        assert self.transport.producerState == "producing"
        self.left += count
        self.work()

    def work(self):
        taken = min(self.left, max(0, self.rounds.room()))
        self.done.extend([self.party] * taken)
        self.rounds.take(taken)
        self.left -= taken
        if self.left:
            self.rounds.wait(self.transport)


class RoundsTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Turns()
        self.turn = SharedTurn(self.clock)
        self.done = []

    def connection(self, party):
        return Connection(self.turn, party, self.done)

    def brought(self):
        """Give what was brought since the last call, by party."""
        done, self.done[:] = list(self.done), []
        return {party: done.count(party) for party in done}

    def test_one_round_a_turn(self):
        """Nothing is read until all is done, one part of it in each turn."""
        one = self.connection("alice")
        one.read(2 * MESSAGES_A_ROUND + 1)
        for _ in range(2):
            self.assertEqual(self.brought(), {"alice": MESSAGES_A_ROUND})
            self.assertEqual(one.transport.producerState, "paused")
            self.assertTrue(one.rounds.waiting)
            self.clock.advance(1)
        self.assertEqual(self.brought(), {"alice": 1})
        self.assertEqual(one.transport.producerState, "producing")
        self.assertFalse(one.rounds.waiting)

    def test_stopped(self):
        one, other = self.connection("alice"), self.connection("alice")
        one.read(MESSAGES_A_ROUND + 1)
        other.read(1)
        self.brought()
        one.rounds.stop()
        one.rounds.stop()
        self.clock.advance(1)
        self.assertEqual((self.brought(), one.left), ({"alice": 1}, 1))
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_by_another_of_its_party(self):
        """In the turn of both: who has it ends the other, as a session's end may."""
        one, other, last = (self.connection("alice") for _ in range(3))
        one.read(MESSAGES_A_ROUND + 1)
        other.read(1)
        last.read(1)
        self.brought()
        one.work = other.rounds.stop
        one.rounds._go_on = lambda: one.work()
        self.clock.advance(1)
        self.assertEqual((self.brought(), other.left), ({"alice": 1}, 1))
        self.assertFalse(other.rounds.waiting)
        self.assertEqual(self.turn._waiting, {})

    def test_stopped_after_it_has_moved(self):
        """Who logs in while the rest of a read waits leaves the turns in which it waits."""
        one = self.connection("alice")
        one.read(MESSAGES_A_ROUND + 1)
        self.brought()
        one.rounds.move(SharedTurn(self.clock))
        one.rounds.stop()
        self.clock.advance(1)
        self.assertEqual((self.brought(), one.left), ({}, 1))
        self.assertEqual(self.turn._waiting, {})

    def test_a_fault_of_one_holds_up_no_other(self):
        many = [self.connection(party) for party in ("alice", "alice", "bob")]
        many[0].read(MESSAGES_A_ROUND)
        many[2].read(MESSAGES_A_ROUND + 1)
        for one in many[:2]:
            one.read(1)
        self.brought()
        many[0].rounds._go_on = lambda: 1 / 0
        self.assertRaises(ZeroDivisionError, self.clock.advance, 1)
        self.clock.advance(1)
        self.assertEqual(self.brought(), {"alice": 1, "bob": 1})

    def test_the_many_connections_of_one_share_a_round(self):
        """However many there are, they bring no more in a turn than one; each has its turn."""
        many = [self.connection("alice") for _ in range(50)]
        for one in many:
            one.read(MESSAGES_A_ROUND - 1)
        turns = 0
        while any(one.left for one in many):
            self.assertLessEqual(self.brought()["alice"], MESSAGES_A_ROUND)
            self.clock.advance(1)
            turns += 1
        self.assertLess(turns, 60)

    def test_who_brings_little_does_not_wait(self):
        """Whoever else brings however much."""
        many = [self.connection(f"user {number}") for number in range(50)]
        for one in many:
            one.read(10 * MESSAGES_A_ROUND)
        modest = self.connection("modest")
        for _ in range(20):
            modest.read(FREE)
            self.assertEqual(modest.left, 0)
            self.assertLessEqual(sum(self.brought().values()), MESSAGES_A_TURN + 51 * FREE)
            self.clock.advance(1)

    def test_parties_take_turns(self):
        """None waits for all that another brings, and all that they bring in a turn is bounded."""
        many = [self.connection(f"user {number}") for number in range(20)]
        for one in many:
            one.read(2 * MESSAGES_A_ROUND)
        self.brought()
        seen = {}
        for _ in range(5):
            self.clock.advance(1)
            brought = self.brought()
            self.assertLessEqual(sum(brought.values()), MESSAGES_A_TURN)
            for party, count in brought.items():
                seen[party] = seen.get(party, 0) + count
        self.assertEqual(seen, {one.party: MESSAGES_A_ROUND for one in many})

    def test_little_begins_no_turn(self):
        """An echo costs the reactor no turn of its own."""
        one = self.connection("alice")
        for _ in range(10):
            one.read(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_had_to_wait_reads_little(self):
        """What was read waits in memory; who then brings a full read in its turn reads on."""
        one = self.connection("alice")
        one.read(MESSAGES_A_ROUND + 1)
        self.assertEqual(one.transport.bufferSize, SMALL_READ)
        self.clock.advance(1)
        for size, reads in ((100, SMALL_READ), (SMALL_READ, READ_SIZE)):
            one.rounds.fitted(one.transport, size)
            self.assertEqual(one.transport.bufferSize, reads)
